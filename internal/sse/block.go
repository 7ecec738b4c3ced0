package sse

import "bytes"

// blocks makes events of the blocks of one stream.
type blocks struct {
	id    string            // last one seen
	names map[string]string // names seen so far: there are few, and each would be a copy for every event
}

// maxNames bounds what a peer can have us keep.
const maxNames = 64

// event reads one block, which ends with its blank line; false when it holds no data. Nothing of the block is kept.
func (s *blocks) event(block []byte) (e Event, ok bool) {
	var first, more []byte // data: its first line, and, of several, all of them
	lines := 0
	for len(block) > 0 {
		var line []byte
		line, block = cutLine(block)
		field, value, _ := bytes.Cut(line, colon)
		if len(value) > 0 && value[0] == ' ' {
			value = value[1:]
		}
		switch string(field) {
		case "data":
			switch lines++; lines {
			case 1:
				first = value
			case 2:
				more = append(append(append(make([]byte, 0, len(first)+len(value)+1), first...), '\n'), value...)
			default:
				more = append(append(more, '\n'), value...)
			}
		case "event":
			e.Name = s.name(value)
		case "id":
			if len(value) > 0 && bytes.IndexByte(value, 0) < 0 {
				s.id = string(value)
			}
		}
	}
	if lines == 1 {
		more = append(make([]byte, 0, len(first)), first...)
	}
	e.ID, e.Data = s.id, more
	return e, len(e.Data) > 0
}

var colon = []byte(":")

// cutLine takes the first line off, with its end: LF, CR LF or CR.
func cutLine(b []byte) (line, rest []byte) {
	line, rest = b, nil
	if lf := bytes.IndexByte(b, '\n'); lf >= 0 {
		line, rest = b[:lf], b[lf+1:]
	}
	cr := bytes.IndexByte(line, '\r')
	switch {
	case cr < 0:
		return line, rest
	case cr == len(line)-1 && len(line) < len(b): // the CR of CR LF
		return line[:cr], rest
	}
	return b[:cr], b[cr+1:]
}

func (s *blocks) name(b []byte) string {
	if n, known := s.names[string(b)]; known {
		return n
	}
	n := string(b)
	if s.names == nil {
		s.names = map[string]string{}
	}
	if len(s.names) < maxNames {
		s.names[n] = n
	}
	return n
}
