package stix

import (
	"bytes"
	"errors"
	"fmt"
)

// maxKept is how much is kept of an element that is too large, in bytes.
const maxKept = 64 << 10

// element reads the next member of an array; ok is false at its end.
func (r *Reader) element() (e Element, ok bool, err error) {
	c, more := r.peek()
	if !more {
		return e, false, r.short()
	}
	if c == ']' && !r.comma {
		r.pos++
		if r.state == inList {
			r.state = inMembers
			return e, false, nil
		}
		return e, false, r.closed()
	}
	if e, err = r.object(); err != nil {
		return e, false, err
	}
	// A fault behind the element is the next call's error.
	c, more = r.peek()
	if r.comma = more && c == ','; r.comma {
		r.pos++
	} else if more && c != ']' {
		r.index++
		r.err = r.syntax(r.pos, "a comma or the closing bracket must stand here")
		r.index--
	}
	return e, true, nil
}

// object reads one value as an element. Its error is final.
func (r *Reader) object() (Element, error) {
	e := Element{Offset: r.base + int64(r.pos)}
	var h *head
	var bad error
	s, whole := r.scan(func(s *scanner) bool {
		h, bad = parse(s)
		return s.fail == noFailure
	})
	switch {
	case whole && s.pos-r.pos > r.max(), s.fail == failShort && len(r.buf)-r.pos > r.max():
		e.Err = fmt.Errorf("%w: over %d bytes", ErrTooLarge, r.max())
		return r.pass(e)
	case s.fail == failDeep:
		e.Err = ErrTooDeep
		return r.pass(e)
	case s.fail == failShort:
		return e, r.short()
	case !whole:
		return e, r.syntax(s.pos, s.why)
	}
	raw := r.buf[r.pos:s.pos]
	r.pos = s.pos
	return finish(e, h, bad, raw), nil
}

// finish makes the element out of what parse said about raw, of which a copy is kept when
// it is malformed.
func finish(e Element, h *head, bad error, raw []byte) Element {
	if bad == nil && h.text[fieldType] == "bundle" {
		bad = errors.New("a bundle where an object must stand")
	}
	if bad != nil {
		e.Err, e.Raw = bad, bytes.Clone(raw)
		return e
	}
	e.Object, e.Raw = Object{h}, h.raw
	return e
}

// pass moves behind a value that is not looked into, counting brackets only.
func (r *Reader) pass(e Element) (Element, error) {
	var depth int
	var quoted, escaped bool
	keep := func(to int) {
		e.Raw = append(e.Raw, r.buf[r.pos:min(to, r.pos+maxKept-len(e.Raw))]...)
		r.pos = to
	}
	for {
		for i := r.pos; i < len(r.buf); i++ {
			c := r.buf[i]
			switch {
			case escaped:
				escaped = false
			case quoted && c == '\\':
				escaped = true
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '{' || c == '[':
				depth++
			case c == '}' || c == ']':
				depth--
			}
			if depth <= 0 && !quoted && !escaped {
				keep(i + 1)
				return e, nil
			}
		}
		keep(len(r.buf))
		if !r.fill() {
			return e, r.short()
		}
	}
}
