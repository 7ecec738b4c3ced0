package stix

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
)

// ErrNoCanonical is a value without canonical form: a lone surrogate, a member name that
// occurs twice, a number beyond the range of a double.
var ErrNoCanonical = errors.New("no canonical form")

// Canonical is the canonical form (RFC 8785) of one JSON value: members sorted by the
// UTF-16 units of their names, numbers as doubles in their shortest form, only necessary
// escapes. Values are equal exactly when their canonical forms are.
func Canonical(raw []byte) ([]byte, error) {
	value, err := compact(raw)
	if err != nil {
		return nil, err
	}
	return appendCanonical(make([]byte, 0, len(value)), value)
}

var canonicals = sync.Pool{New: func() any { return new([]byte) }}

// Digest is the SHA-256 of the canonical form, or of the raw bytes where there is none.
// Objects of equal content have equal digests, whatever their member order, spacing,
// escapes or way to write numbers.
func (o Object) Digest() [32]byte {
	if o.h == nil {
		return [32]byte{}
	}
	buf := canonicals.Get().(*[]byte)
	defer canonicals.Put(buf)
	out, err := appendCanonical((*buf)[:0], o.h.raw)
	if err != nil {
		return sha256.Sum256(o.h.raw)
	}
	if cap(out) <= 1<<20 {
		*buf = out
	}
	return sha256.Sum256(out)
}

// canonical writes canonical forms in a variant of the rules.
type canonical struct {
	last   bool // of members with one name the last counts, instead of an error
	noNull bool // null is an error
}

var canonicalLast = canonical{last: true}

// appendCanonical appends the canonical form of a valid, compact value.
func appendCanonical(dst, raw []byte) ([]byte, error) { return canonical{}.append(dst, raw) }

func (c canonical) append(dst, raw []byte) ([]byte, error) {
	switch raw[0] {
	case '"':
		return appendCanonicalText(dst, raw)
	case '{':
		return c.object(dst, raw)
	case '[':
		dst = append(dst, '[')
		var err error
		for n, value := range elements(raw) {
			if n > 0 {
				dst = append(dst, ',')
			}
			if dst, err = c.append(dst, value); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case 'n':
		if c.noNull {
			return nil, errNull
		}
		return append(dst, raw...), nil
	case 't', 'f':
		return append(dst, raw...), nil
	}
	return appendCanonicalNumber(dst, raw)
}

// memberAt is a member's place: name with quotes, value.
type memberAt struct{ name, value []byte }

func (c canonical) object(dst, raw []byte) ([]byte, error) {
	var few [24]memberAt
	list := few[:0]
	for i := 1; i < len(raw)-1; {
		colon := behindText(raw, i)
		end := behind(raw, colon+1)
		name := raw[i+1 : colon-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			decoded, whole := unescape(nil, name)
			if !whole {
				return nil, fmt.Errorf("%w: lone surrogate in a member name", ErrNoCanonical)
			}
			name = decoded
		}
		list = append(list, memberAt{name, raw[colon+1 : end]})
		i = end + 1
	}
	return c.members(dst, list)
}

// members appends an object of valid, compact values. It sorts list.
func (c canonical) members(dst []byte, list []memberAt) ([]byte, error) {
	slices.SortStableFunc(list, func(a, b memberAt) int { return compareUTF16(a.name, b.name) })
	dst = append(dst, '{')
	start := len(dst)
	for n, m := range list {
		if n+1 < len(list) && bytes.Equal(m.name, list[n+1].name) {
			if !c.last {
				return nil, fmt.Errorf("%w: member %q occurs twice", ErrNoCanonical, m.name)
			}
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, m.name), ':')
		var err error
		if dst, err = c.append(dst, m.value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// compareUTF16 orders valid UTF-8 by its UTF-16 code units. That is the order of the bytes,
// except that U+E000–U+FFFF come after what needs surrogates.
func compareUTF16(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			if x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0) {
				x, y = y, x
			}
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func appendCanonicalText(dst, raw []byte) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return append(dst, raw...), nil
	}
	s, whole := text(raw)
	if !whole {
		return nil, fmt.Errorf("%w: lone surrogate", ErrNoCanonical)
	}
	return appendText(dst, s), nil
}

// appendText appends s as a JSON string with only the escapes that JSON demands. s must be
// valid UTF-8.
func appendText[T string | []byte](dst []byte, s T) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}

func appendCanonicalNumber(dst, raw []byte) ([]byte, error) {
	if len(raw) < 16 && raw[0] != '-' { // short integers are their own canonical form
		plain := true
		for _, c := range raw {
			plain = plain && c-'0' <= 9
		}
		if plain {
			return append(dst, raw...), nil
		}
	}
	x, err := strconv.ParseFloat(alias(raw), 64)
	if err != nil {
		return nil, fmt.Errorf("%w: number %.40s is out of range", ErrNoCanonical, raw)
	}
	return appendDouble(dst, x), nil
}

// appendDouble writes a finite x as ECMAScript does.
func appendDouble(dst []byte, x float64) []byte {
	abs := math.Abs(x)
	switch {
	case x == 0: // also -0
		return append(dst, '0')
	case abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(dst, x, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, x, 'e', -1, 64)
	// 1e-07 is written 1e-7.
	if n := len(dst); dst[n-2] == '0' && (dst[n-3] == '-' || dst[n-3] == '+') {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}
