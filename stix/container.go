package stix

import (
	"bytes"
	"io"
)

// outer is what is known about the first object: bundle, envelope, or a STIX object.
type outer struct {
	count    int // members read
	typ      string
	id       string
	envelope bool // it has "more" or "next"
	more     bool
	next     string
	list     int // position behind the bracket of its list of objects; 0 if not there yet
}

// decided reports that this is neither bundle nor envelope.
func (o *outer) decided() bool { return o.typ != "" && o.typ != "bundle" }

// walk reads members from the opening brace until it knows enough, or to the end.
func (o *outer) walk(s *scanner) bool {
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
		if !o.member(s) {
			return false
		}
		if o.list > 0 || o.decided() {
			return true
		}
		if c, ok = s.next(); !ok {
			return false
		}
		if c == '}' {
			s.pos++
			return true
		}
		if _, ok = s.comma(c); !ok {
			return false
		}
	}
}

// member reads the member whose name starts at s.pos; in front of the elements of a list of
// objects it stops.
func (o *outer) member(s *scanner) bool {
	start := s.pos
	if s.src[start] != '"' {
		return s.syntax("a member name in double quotes must stand here")
	}
	if !s.str() {
		return false
	}
	key, _ := text(s.src[start:s.pos])
	if !s.colon() {
		return false
	}
	from := s.pos
	if key == "objects" && s.src[from] == '[' {
		s.pos++
		o.list = s.pos
		return true
	}
	if !s.value(1) {
		return false
	}
	o.count++
	value := s.src[from:s.pos]
	switch key {
	case "type":
		o.typ = ownText(value)
	case "id":
		o.id = ownText(value)
	case "more":
		o.envelope, o.more = true, value[0] == 't'
	case "next":
		o.envelope, o.next = true, ownText(value)
	}
	return true
}

// ownText is the text of a JSON string as a copy, empty if raw is anything else.
func ownText(raw []byte) string {
	if raw[0] != '"' {
		return ""
	}
	s, _ := text(bytes.Clone(raw))
	return s
}

var bom = []byte("\xef\xbb\xbf")

// start looks at the first value. With ok, e is the first element. As long as it is
// undecided what the value is, nothing of it is consumed.
func (r *Reader) start() (e Element, ok bool, err error) {
	for len(r.buf) < len(bom) && r.fill() {
	}
	if bytes.HasPrefix(r.buf, bom) {
		r.pos = len(bom)
	}
	c, more := r.peek()
	switch {
	case !more && r.srcErr != io.EOF:
		return e, false, r.short()
	case !more:
		return e, false, r.syntax(len(r.buf), "the input is empty")
	case c == '[':
		r.pos++
		r.format, r.state = "array", inArray
		return e, false, nil
	case c != '{':
		return e, false, r.startLines(r.syntax(r.pos, "neither a JSON object nor an array"))
	}
	var first outer
	s, whole := r.scan(func(s *scanner) bool {
		first = outer{}
		s.skip = true
		return first.walk(s)
	})
	switch {
	case first.list > 0:
		r.open(first)
		r.pos, r.state = first.list, inList
		return e, false, nil
	case first.decided():
		return r.firstObject()
	case s.fail == failShort && len(r.buf)-r.pos > r.max():
		return e, false, r.syntax(r.pos, "no list of objects within the size that one element may have")
	case s.fail == failShort:
		return e, false, r.startLines(r.short())
	case s.fail == failDeep:
		return e, false, r.startLines(r.syntax(s.pos, ErrTooDeep.Error()))
	case !whole:
		return e, false, r.startLines(r.syntax(s.pos, s.why))
	}
	// The object has ended: a bundle or envelope without objects, or neither.
	size := s.pos - s.from
	_, more = r.ahead(s.pos)
	last := !more
	empty := first.typ == "bundle" || first.envelope || first.count == 0 && last
	if !empty && last {
		return e, false, r.syntax(r.pos, "neither a bundle nor an envelope, an array or a STIX object")
	}
	if !empty {
		return e, false, r.startLines(r.syntax(r.pos+size, "data after the object"))
	}
	r.open(first)
	r.pos += size
	return e, false, r.closed()
}

// open makes what was learned about the outer object visible.
func (r *Reader) open(o outer) {
	r.outer = o
	if r.format = "envelope"; o.typ == "bundle" {
		r.format = "bundle"
	}
}

// members reads what stands behind the objects of a bundle or envelope.
func (r *Reader) members() error {
	c, more := r.peek()
	if !more {
		return r.short()
	}
	if c == '}' {
		r.pos++
		return r.closed()
	}
	if c != ',' {
		return r.syntax(r.pos, "a comma or the closing brace must stand here")
	}
	o := r.outer
	s, whole := r.scan(func(s *scanner) bool {
		o = r.outer
		o.list = 0
		s.skip = true
		s.pos++
		if _, ok := s.next(); !ok {
			return false
		}
		return o.member(s)
	})
	switch {
	case s.fail == failShort && len(r.buf)-r.pos > r.max():
		return r.syntax(r.pos, "a member of the bundle is too large")
	case s.fail == failShort:
		return r.short()
	case !whole:
		return r.syntax(s.pos, s.why)
	}
	r.open(o)
	r.pos = s.pos
	if o.list > 0 {
		r.state, r.comma = inList, false
	}
	return nil
}

// closed is called behind the first value's closing bracket: nothing may follow, but for
// more lines behind a bundle.
func (r *Reader) closed() error {
	c, more := r.peek()
	switch {
	case more && c == '{' && r.format != "array":
		r.format, r.state = "lines", inLines
	case more:
		r.state = atEnd
		return r.syntax(r.pos, "data after the end")
	case r.srcErr != io.EOF:
		return r.short()
	default:
		r.state = atEnd
	}
	return nil
}

// ahead is the first byte from buf[at:] on that is no white space; it consumes nothing.
func (r *Reader) ahead(at int) (byte, bool) {
	for n := at - r.pos; ; n++ {
		for r.pos+n >= len(r.buf) {
			if !r.fill() {
				return 0, false
			}
		}
		switch c := r.buf[r.pos+n]; c {
		case ' ', '\n', '\r', '\t':
		default:
			return c, true
		}
	}
}
