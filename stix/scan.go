package stix

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may be nested in one STIX object. Real objects
// stay below ten; the limit keeps hostile input from exhausting the stack.
const MaxDepth = 200

// failure says why a scan stopped.
type failure uint8

const (
	noFailure failure = iota
	failShort         // the input ended inside the value
	failSyntax
	failDeep
)

// scanner validates one JSON value (syntax and UTF-8) in a single pass and, while it does,
// copies it without insignificant white space. Nothing is copied as long as there is none.
//
// Invalid UTF-8 inside a string does not stop it: the structure is still certain, so a
// reader can go on behind the value.
type scanner struct {
	src  []byte
	pos  int
	dst  []byte // what precedes src[from:], compacted
	from int
	cut  bool // white space was removed: the result is in dst

	skip      bool // only look, copy nothing
	own       bool // what is made of it must not alias src
	escaped   bool // the last string had an escape
	surrogate bool // some string has a \ud800–\udfff escape
	badUTF8   int  // 1 + position of the first string with invalid UTF-8

	fail failure
	why  string
}

// out is the place in the compacted value of the source position pos.
func (s *scanner) out() int { return len(s.dst) + s.pos - s.from }

func (s *scanner) stop(f failure, why string) bool {
	s.fail, s.why = f, why
	return false
}

func (s *scanner) short() bool { return s.stop(failShort, "unexpected end of input") }

func (s *scanner) syntax(why string) bool {
	if s.pos >= len(s.src) {
		return s.short()
	}
	return s.stop(failSyntax, why)
}

// next moves past white space and returns the byte there.
func (s *scanner) next() (byte, bool) {
	if s.pos < len(s.src) {
		if c := s.src[s.pos]; c > ' ' {
			return c, true
		}
	}
	return s.space()
}

func (s *scanner) space() (byte, bool) {
	start, i := s.pos, s.pos
	for i+9 <= len(s.src) && binary.LittleEndian.Uint64(s.src[i+1:]) == ones*' ' && (s.src[i] == '\n' || s.src[i] == ' ') {
		i++ // a line feed, say, then indentation
		for i+8 <= len(s.src) && binary.LittleEndian.Uint64(s.src[i:]) == ones*' ' {
			i += 8
		}
	}
	for i < len(s.src) && (s.src[i] == ' ' || s.src[i] == '\n' || s.src[i] == '\r' || s.src[i] == '\t') {
		i++
	}
	if i > start && !s.skip {
		if start > s.from {
			s.dst = append(s.dst, s.src[s.from:start]...)
		}
		s.from, s.cut = i, true
	}
	s.pos = i
	if i >= len(s.src) {
		return 0, s.short()
	}
	return s.src[i], true
}

// value scans one value that starts at pos.
func (s *scanner) value(depth int) bool {
	if s.pos >= len(s.src) {
		return s.short()
	}
	switch c := s.src[s.pos]; c {
	case '"':
		return s.str()
	case '{':
		return s.object(depth)
	case '[':
		return s.array(depth)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if c == '-' || c-'0' <= 9 {
			return s.number()
		}
		return s.syntax("a value must start here")
	}
}

func (s *scanner) object(depth int) bool {
	if depth >= MaxDepth {
		return s.stop(failDeep, "nested too deep")
	}
	s.pos++
	c, ok := s.next()
	if !ok {
		return false
	}
	if c == '}' {
		s.pos++
		return true
	}
	for {
		if !s.key(c) || !s.value(depth+1) {
			return false
		}
		if c, ok = s.next(); !ok {
			return false
		}
		if c == '}' {
			s.pos++
			return true
		}
		if c, ok = s.comma(c); !ok {
			return false
		}
	}
}

// key scans a member name, whose first byte is c, and its colon, up to the value.
func (s *scanner) key(c byte) bool {
	if c != '"' {
		return s.syntax("a member name in double quotes must stand here")
	}
	return s.str() && s.colon()
}

func (s *scanner) colon() bool {
	if i := s.pos + 1; i < len(s.src) && s.src[i-1] == ':' && s.src[i] > ' ' {
		s.pos = i
		return true
	}
	c, ok := s.next()
	if !ok {
		return false
	}
	if c != ':' {
		return s.syntax("a colon must follow the member name")
	}
	s.pos++
	_, ok = s.next()
	return ok
}

func (s *scanner) comma(c byte) (byte, bool) {
	if c != ',' {
		return 0, s.syntax("a comma or the closing bracket must stand here")
	}
	s.pos++
	if s.pos < len(s.src) {
		if c = s.src[s.pos]; c > ' ' {
			return c, true
		}
	}
	return s.space()
}

func (s *scanner) array(depth int) bool {
	if depth >= MaxDepth {
		return s.stop(failDeep, "nested too deep")
	}
	s.pos++
	c, ok := s.next()
	if !ok {
		return false
	}
	if c == ']' {
		s.pos++
		return true
	}
	for {
		if !s.value(depth + 1) {
			return false
		}
		if c, ok = s.next(); !ok {
			return false
		}
		if c == ']' {
			s.pos++
			return true
		}
		if _, ok = s.comma(c); !ok {
			return false
		}
	}
}

func (s *scanner) literal(word string) bool {
	for i := range len(word) {
		if s.pos+i >= len(s.src) {
			return s.short()
		}
		if s.src[s.pos+i] != word[i] {
			return s.syntax("a value must start here")
		}
	}
	s.pos += len(word)
	return true
}

func (s *scanner) number() bool {
	i := s.pos
	at := func() byte {
		if i < len(s.src) {
			return s.src[i]
		}
		return 0
	}
	digits := func() bool {
		start := i
		for i < len(s.src) && s.src[i]-'0' <= 9 {
			i++
		}
		return i > start
	}
	if at() == '-' {
		i++
	}
	ok := true
	if at() == '0' {
		i++
	} else {
		ok = digits()
	}
	if ok && at() == '.' {
		i++
		ok = digits()
	}
	if ok && at()|0x20 == 'e' {
		i++
		if at() == '+' || at() == '-' {
			i++
		}
		ok = digits()
	}
	s.pos = i
	if i >= len(s.src) {
		return s.short() // more digits may follow
	}
	if !ok {
		return s.syntax("malformed number")
	}
	return true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// str scans a string whose opening quote is at pos, eight bytes at a time.
func (s *scanner) str() bool {
	src, i := s.src, s.pos+1
	start := i
	var high uint64
	s.escaped = false
	for {
		for i+8 <= len(src) {
			w := binary.LittleEndian.Uint64(src[i:])
			quote, slash := w^(ones*'"'), w^(ones*'\\')
			m := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w) & highs
			if m == 0 {
				high |= w
				i += 8
				continue
			}
			n := bits.TrailingZeros64(m) >> 3
			high |= w & (1<<(8*n) - 1)
			i += n
			break
		}
		for i < len(src) && src[i] != '"' && src[i] != '\\' && src[i] >= ' ' {
			high |= uint64(src[i])
			i++
		}
		if i >= len(src) {
			s.pos = i
			return s.short()
		}
		switch src[i] {
		case '"':
			if high&highs != 0 && s.badUTF8 == 0 && !utf8.Valid(src[start:i]) {
				s.badUTF8 = start + 1
			}
			s.pos = i + 1
			return true
		case '\\':
			s.escaped = true
			if i = s.escape(i + 1); i < 0 {
				return false
			}
		default:
			s.pos = i
			return s.syntax("control character in a string")
		}
	}
}

// escape checks the escape whose letter is at i and returns the position behind it, or -1.
func (s *scanner) escape(i int) int {
	if i >= len(s.src) {
		s.pos = i
		s.short()
		return -1
	}
	switch s.src[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for j := i + 1; j < i+5; j++ {
			if j >= len(s.src) || hexDigit(s.src[j]) < 0 {
				s.pos = j
				s.syntax("malformed \\u escape")
				return -1
			}
		}
		if s.src[i+1]|0x20 == 'd' && s.src[i+2] > '7' {
			s.surrogate = true
		}
		return i + 5
	}
	s.pos = i
	s.syntax("unknown escape")
	return -1
}

func hexDigit(c byte) int {
	switch {
	case c-'0' <= 9:
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
