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

// wholeEvents passes on one whole event at a time, so that a parser behind it never sees one that was cut, nor has more
// than one in its buffer (r3labs scans all that it holds for each event).
type wholeEvents struct {
	src     io.ReadCloser
	max     int
	buf     []byte
	off     int   // buf[off:ready] may be passed on
	ready   int   // end of a whole event
	scanned int   // no event ends before here
	begun   bool  // the first event has been passed on
	err     error // end of the source
}

// Read blocks until the next whole event is there.
func (w *wholeEvents) Read(p []byte) (int, error) {
	for w.off == w.ready {
		if err := w.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.buf[w.off:w.ready])
	w.off += n
	return n, nil
}

// next looks for the end of an event in what is held, and reads on when there is none.
func (w *wholeEvents) next() error {
	if end := eventEnd(w.buf, max(w.scanned-3, w.ready)); end >= 0 {
		if end-w.ready > w.max {
			return w.tooLarge()
		}
		w.ready, w.scanned = end, end
		if !w.begun {
			w.begun = true
			if bytes.HasPrefix(w.buf, bom) {
				w.off = len(bom)
			}
		}
		return nil
	}
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
		w.off, w.ready, w.scanned = 0, 0, len(w.buf)
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

// Close closes the connection.
func (w *wholeEvents) Close() error { return w.src.Close() }

// eventEnd returns the end of the first blank line that begins at or after from, or -1. Blank lines are two line ends in a
// row: LF LF, LF CR LF, CR CR (CR LF CR LF holds the second).
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
		case i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n':
			return i + 2
		}
	}
	return -1
}
