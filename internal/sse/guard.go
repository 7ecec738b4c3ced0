package sse

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// EventTooLargeError says that the next event of a stream is over the limit.
type EventTooLargeError struct {
	ID   string // id of the event; empty when its id line did not come within the limit
	Name string
	Max  int
}

func (e *EventTooLargeError) Error() string {
	return fmt.Sprintf("event %q is larger than %d bytes", e.ID, e.Max)
}

// keepBuffer is the capacity that the guard keeps after a large event.
const keepBuffer = 1 << 20

var bom = []byte("\xef\xbb\xbf")

// wholeEvents cuts a stream into whole events, so that what reads one never sees one that was cut.
type wholeEvents struct {
	src     io.Reader
	max     int
	buf     []byte
	ready   int   // end of the last whole event
	scanned int   // no event ends before here
	begun   bool  // the first event has been passed on
	err     error // end of the source
}

// block blocks until the next whole event is there, and returns it with its blank line. It is valid until the next call.
func (w *wholeEvents) block() ([]byte, error) {
	for {
		if end := eventEnd(w.buf, max(w.scanned-3, w.ready)); end >= 0 {
			if end-w.ready > w.max {
				return nil, w.tooLarge()
			}
			b := w.buf[w.ready:end]
			w.ready, w.scanned = end, end
			if !w.begun {
				w.begun = true
				b = bytes.TrimPrefix(b, bom)
			}
			return b, nil
		}
		if err := w.more(); err != nil {
			return nil, err
		}
	}
}

// more reads on, there being no whole event in what is held.
func (w *wholeEvents) more() error {
	w.scanned = len(w.buf)
	if len(w.buf)-w.ready > w.max {
		return w.tooLarge()
	}
	if w.err != nil {
		if w.err == io.EOF && len(bytes.Trim(w.buf[w.ready:], "\r\n")) > 0 {
			w.err = io.ErrUnexpectedEOF // what is left is an event that was cut
		}
		return w.err
	}
	if w.ready > 0 { // make room: what was passed on goes
		rest := w.buf[w.ready:]
		if cap(w.buf) > keepBuffer && len(rest) < keepBuffer/2 {
			w.buf = append(make([]byte, 0, keepBuffer), rest...)
		} else {
			w.buf = w.buf[:copy(w.buf, rest)]
		}
		w.ready, w.scanned = 0, len(w.buf)
	}
	w.buf = slices.Grow(w.buf, 32<<10)
	n, err := w.src.Read(w.buf[len(w.buf):cap(w.buf)])
	w.buf, w.err = w.buf[:len(w.buf)+n], err
	return nil
}

func (w *wholeEvents) tooLarge() error {
	if _, done := w.err.(*EventTooLargeError); !done {
		e := &EventTooLargeError{Max: w.max}
		for line := range bytes.FieldsFuncSeq(w.buf[w.ready:][:min(w.max, 64<<10)], func(r rune) bool { return r == '\n' || r == '\r' }) {
			if v, ok := bytes.CutPrefix(line, []byte("id:")); ok {
				e.ID = string(bytes.TrimPrefix(v, []byte(" ")))
			}
			if v, ok := bytes.CutPrefix(line, []byte("event:")); ok {
				e.Name = string(bytes.TrimPrefix(v, []byte(" ")))
			}
		}
		w.err = e
	}
	return w.err
}

// eventEnd returns the end of the first blank line that begins at or after from, or -1. Blank lines are two line ends in a
// row: LF LF, LF CR LF, LF CR, CR CR (CR LF CR LF holds the second). LF CR counts once it is known that no LF follows.
func eventEnd(b []byte, from int) int {
	for i := from; i < len(b); {
		lf := bytes.IndexByte(b[i:], '\n')
		line := b[i:]
		if lf >= 0 {
			line = b[i : i+lf]
		}
		if cr := bytes.Index(line, []byte("\r\r")); cr >= 0 {
			return i + cr + 2
		}
		if lf < 0 {
			return -1
		}
		i += lf + 1
		switch {
		case i < len(b) && b[i] == '\n':
			return i + 1
		case i+1 < len(b) && b[i] == '\r':
			if b[i+1] == '\n' {
				return i + 2
			}
			return i + 1
		}
	}
	return -1
}
