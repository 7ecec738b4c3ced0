package ssetest

import "net/http"

// Fault is what goes wrong on one connection of a server that otherwise behaves. The zero value is no fault.
type Fault struct {
	After int  // bytes of the body before it happens; 0 means never, unless one of the flags below is set
	Cut   bool // break the connection off, also inside an event
	End   bool // end the stream cleanly
	Hold  bool // fall silent with the connection open
	Chunk int  // split every write into pieces of this size
}

// Apply returns a writer for the body of one connection that suffers the fault. Writes panic with http.ErrAbortHandler
// when the connection is to be cut; End is a panic of Ended, which the handler must recover.
func (f Fault) Apply(c *Conn) http.ResponseWriter {
	if f == (Fault{}) {
		return c
	}
	return &faulty{Conn: c, f: f}
}

// Ended is what a writer panics with when its fault ends the stream cleanly.
var Ended = new(struct{ _ int })

// Recover ends a handler whose writer panicked with Ended; defer it.
func Recover() {
	if v := recover(); v != nil && v != any(Ended) {
		panic(v)
	}
}

type faulty struct {
	*Conn
	f    Fault
	sent int
}

func (w *faulty) Write(p []byte) (int, error) {
	rest := p
	for len(rest) > 0 {
		n := len(rest)
		if w.f.Chunk > 0 {
			n = min(n, w.f.Chunk)
		}
		faulted := w.f.Cut || w.f.End || w.f.Hold
		if faulted {
			n = min(n, w.f.After-w.sent)
		}
		if n > 0 {
			if _, err := w.Conn.ResponseWriter.Write(rest[:n]); err != nil {
				return len(p) - len(rest), err
			}
			w.Flush()
			w.sent += n
			rest = rest[n:]
		}
		if faulted && w.sent >= w.f.After {
			w.Flush()
			switch {
			case w.f.Cut:
				panic(http.ErrAbortHandler)
			case w.f.End:
				panic(Ended)
			default:
				w.Hold()
				panic(Ended)
			}
		}
	}
	return len(p), nil
}
