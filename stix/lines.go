package stix

import (
	"bytes"
	"fmt"
	"io"
)

// firstObject reads a first value that is a STIX object: alone, or in the first of many
// lines.
func (r *Reader) firstObject() (e Element, ok bool, err error) {
	s, whole := r.scan(func(s *scanner) bool {
		s.skip = true
		return s.value(0)
	})
	switch {
	case s.fail == failShort && len(r.buf)-r.pos <= r.max():
		return e, false, r.startLines(r.short())
	case s.fail == failSyntax:
		return e, false, r.startLines(r.syntax(s.pos, s.why))
	}
	manyLines := bytes.IndexByte(r.buf[r.pos:s.pos], '\n') >= 0
	if _, more := r.ahead(s.pos); whole && !manyLines && more {
		r.format, r.state = "lines", inLines
		return e, false, nil
	}
	r.format = "object"
	if e, err = r.object(); err != nil {
		return e, false, err
	}
	r.state = atEnd
	switch _, more := r.peek(); {
	case more && whole:
		r.err = r.syntax(r.pos, "data after the object: of several objects each must be on one line")
	case more:
		r.format, r.state = "lines", inLines
	case r.srcErr != io.EOF:
		r.err = r.short()
	}
	return e, true, nil
}

// startLines decides whether input whose first value is unreadable for the given reason is
// JSON lines with a bad first line.
func (r *Reader) startLines(reason error) error {
	if r.srcErr != nil && r.srcErr != io.EOF {
		return reason
	}
	end := r.lineEnd()
	if end < 0 {
		return reason
	}
	if c, more := r.ahead(end); !more || c != '{' {
		return reason
	}
	r.format, r.state = "lines", inLines
	return nil
}

// lineEnd is the position of the next line feed, -1 if the line is too long or the last.
func (r *Reader) lineEnd() int {
	for seen := 0; ; {
		if n := bytes.IndexByte(r.buf[r.pos+seen:], '\n'); n >= 0 {
			return r.pos + seen + n
		}
		seen = len(r.buf) - r.pos
		if seen > r.max() || !r.fill() {
			return -1
		}
	}
}

// nextLine reads one line; ok is false where there was none to return.
func (r *Reader) nextLine() (e Element, ok bool, err error) {
	if r.line != nil {
		e, err := r.line.Next()
		e.Offset += r.lineAt
		if err == nil {
			return e, true, nil
		}
		r.line = nil
		if err != io.EOF {
			return Element{Offset: r.lineAt, Err: fmt.Errorf("bundle in a line: %w", err)}, true, nil
		}
	}
	if _, more := r.peek(); !more {
		if r.srcErr != io.EOF {
			return e, false, r.short()
		}
		r.state = atEnd
		return e, false, nil
	}
	e.Offset = r.base + int64(r.pos)
	end := r.lineEnd()
	last := end < 0
	if last {
		if end = len(r.buf); end-r.pos > r.max() {
			e.Err = fmt.Errorf("%w: over %d bytes", ErrTooLarge, r.max())
			return r.passLine(e), true, nil
		}
		if r.srcErr != io.EOF {
			return e, false, r.short()
		}
	}
	line := r.buf[r.pos:end]
	s := scanner{src: line, dst: r.dst[:0], own: true}
	h, bad := parse(&s)
	r.dst = s.dst
	if last && s.fail == failShort {
		return e, false, r.short()
	}
	r.pos = end
	if s.fail == noFailure {
		if container(h) {
			r.lineAt = e.Offset
			r.line = &Reader{Max: r.Max, src: bytes.NewReader(bytes.Clone(line))}
			return e, false, nil
		}
		s.skip = true
		if _, more := s.next(); more {
			bad = &SyntaxError{Offset: int64(s.pos), Index: -1, Msg: "data after the object"}
		}
	}
	if at, ok := bad.(*SyntaxError); ok {
		at.Offset += e.Offset
		at.Index = r.index
	}
	return finish(e, h, bad, line), true, nil
}

// container reports whether a line is a bundle or an envelope.
func container(h *head) bool {
	if h == nil {
		return false
	}
	if h.text[fieldType] == "" {
		list, _ := lookup(h.raw, "objects")
		return len(list) > 0 && list[0] == '['
	}
	return h.text[fieldType] == "bundle"
}

// passLine moves behind the rest of a line that is too long.
func (r *Reader) passLine(e Element) Element {
	for {
		n := bytes.IndexByte(r.buf[r.pos:], '\n')
		end := len(r.buf)
		if n >= 0 {
			end = r.pos + n
		}
		e.Raw = append(e.Raw, r.buf[r.pos:min(end, r.pos+maxKept-len(e.Raw))]...)
		r.pos = end
		if n >= 0 || !r.fill() {
			return e
		}
	}
}
