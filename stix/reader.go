package stix

import (
	"io"
)

// DefaultMax is the size that one element may have by default, in bytes.
const DefaultMax = 64 << 20

// Element is one member of what is read, good or malformed.
type Element struct {
	Object Object
	Raw    []byte // the object's bytes; for a malformed element those received, of one too large only the beginning
	Index  int    // from 0
	Offset int64  // of its first byte in the (decompressed) input
	Err    error  // why it is no object; the next element can be read
}

// Reader reads STIX objects one by one out of a bundle, a TAXII envelope, a bare array,
// JSON lines (of objects, or of bundles) or a single object, which it tells apart by
// itself. Its memory is bounded by the largest element, not by the input. What it returns
// may be kept. Not safe for concurrent use.
type Reader struct {
	Max int // bytes that one element may have; DefaultMax when 0

	src    io.Reader
	srcErr error
	buf    []byte // input not yet consumed is buf[pos:]
	pos    int
	base   int64  // offset of buf[0] in the input
	dst    []byte // scratch for compacting

	scanner scanner

	state  state
	format string
	index  int
	err    error // final
	comma  bool  // a comma was just read
	outer  outer
	line   *Reader // the bundle that is the current line
	lineAt int64   // its offset
}

type state uint8

const (
	atStart   state = iota
	inArray         // before an element or the end of a bare array
	inList          // the same in the objects of a bundle or envelope
	inMembers       // behind the objects of a bundle or envelope
	inLines
	atEnd
)

// NewReader reads from r, which should be [Open]ed first if it may be compressed.
func NewReader(r io.Reader) *Reader { return &Reader{src: r} }

// Format is "bundle", "envelope", "array", "lines" or "object"; empty until it is known. A
// second object makes "lines" out of "object".
func (r *Reader) Format() string { return r.format }

// Bundle is the id of the bundle, empty where there is none or before it was read: it may
// stand behind the objects.
func (r *Reader) Bundle() string { return r.outer.id }

// More reports whether a TAXII envelope said that there is more, and its next token. Valid
// after io.EOF.
func (r *Reader) More() (next string, more bool) { return r.outer.next, r.outer.more }

// Next returns the next element. io.EOF means that everything was read and was complete;
// any other error, that the rest cannot be read: a *SyntaxError for malformed or truncated
// input, or for a failure of the underlying reader, which it wraps. An element that is
// malformed in itself is no such error: see Element.Err.
func (r *Reader) Next() (Element, error) {
	if r.err != nil {
		return Element{}, r.err
	}
	e, err := r.next()
	if err != nil {
		r.err, r.buf = err, nil
		return Element{}, err
	}
	e.Index = r.index
	r.index++
	return e, nil
}

func (r *Reader) next() (e Element, err error) {
	for ok := false; !ok && err == nil; {
		switch r.state {
		case atStart:
			e, ok, err = r.start()
		case inArray, inList:
			e, ok, err = r.element()
		case inMembers:
			err = r.members()
		case inLines:
			e, ok, err = r.nextLine()
		case atEnd:
			err = io.EOF
		}
	}
	return e, err
}

func (r *Reader) max() int {
	if r.Max > 0 {
		return min(r.Max, maxParse)
	}
	return DefaultMax
}

// usualBuffer is the size that the buffer has unless an element is larger.
const usualBuffer = 256 << 10

// fill reads more input behind buf and reports whether any came. Consumed input goes.
func (r *Reader) fill() bool {
	if r.srcErr != nil {
		return false
	}
	unread := len(r.buf) - r.pos
	if cap(r.buf)-len(r.buf) < 32<<10 || cap(r.buf) > usualBuffer && unread < usualBuffer/2 {
		into := r.buf[:0]
		if size := max(usualBuffer, 2*unread); cap(into) < size || cap(into) > 4*size {
			into = make([]byte, 0, size)
		}
		into = into[:unread]
		copy(into, r.buf[r.pos:])
		r.base += int64(r.pos)
		r.buf, r.pos = into, 0
	}
	for range 100 {
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		if err != nil {
			r.srcErr = err
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	r.srcErr = io.ErrNoProgress
	return false
}

// peek is the next byte that is no white space, without consuming it; false at the end.
func (r *Reader) peek() (byte, bool) {
	for {
		for r.pos < len(r.buf) {
			switch c := r.buf[r.pos]; c {
			case ' ', '\n', '\r', '\t':
				r.pos++
			default:
				return c, true
			}
		}
		if !r.fill() {
			return 0, false
		}
	}
}

func (r *Reader) syntax(at int, msg string) error {
	index := r.index
	if r.state == atStart || r.state == atEnd {
		index = -1
	}
	return &SyntaxError{Offset: r.base + int64(at), Index: index, Msg: msg}
}

// short is the error of input that ends too early, or that cannot be read any further.
func (r *Reader) short() error {
	e := r.syntax(len(r.buf), "unexpected end of input: it is truncated").(*SyntaxError)
	if r.srcErr != nil && r.srcErr != io.EOF {
		e.Msg, e.err = "reading failed: "+r.srcErr.Error(), r.srcErr
	} else {
		e.err = io.ErrUnexpectedEOF
	}
	return e
}

// scan calls f with a scanner at the unread input until it does not end inside the value,
// or until the value is too large. It does not consume. The scanner is good until the next
// call.
func (r *Reader) scan(f func(*scanner) bool) (s *scanner, whole bool) {
	s = &r.scanner
	for {
		*s = scanner{src: r.buf, pos: r.pos, from: r.pos, dst: r.dst[:0], own: true}
		ok := f(s)
		if r.dst = s.dst; cap(r.dst) > 1<<20 {
			r.dst = nil
		}
		if ok || s.fail != failShort {
			return s, ok
		}
		// A large value is scanned again only when there is twice as much of it, so that small
		// reads do not make the cost quadratic.
		unread := len(r.buf) - r.pos
		more := unread + 1
		if unread > 16<<10 {
			more = min(2*unread, r.max()+1)
		}
		if unread > r.max() || !r.fill() {
			return s, false
		}
		for len(r.buf)-r.pos < more && r.fill() {
		}
	}
}
