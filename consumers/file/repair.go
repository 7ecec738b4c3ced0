package file

import (
	"bytes"
	"errors"
	"io"
)

// tail is how far back the end of a file is looked at: more than any batch, which is what a crash can have left unfinished.
const tail = 32 << 20

// start is how every line of ours begins.
var start = []byte(`{"seq":`)

var errForeign = errors.New("it ends in something that is no event line of ours: move the file away, or name another path")

// end returns the length of the file up to the end of its last whole line. A crash leaves a line without its end, or, after a power
// loss, a stretch of zeros where data was under way. Anything else at the end was written by someone else and is not ours to cut.
func end(f io.ReaderAt, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	from := max(0, size-tail)
	b := make([]byte, size-from)
	if _, err := f.ReadAt(b, from); err != nil && err != io.EOF {
		return 0, err
	}
	whole := b
	if i := bytes.IndexByte(b, 0); i >= 0 {
		whole = b[:i]
	}
	cut := bytes.LastIndexByte(whole, '\n') + 1
	if cut == 0 && from > 0 {
		return 0, errForeign
	}
	torn := b[cut:]
	if len(torn) == 0 {
		return size, nil
	}
	if !ours(torn) {
		return 0, errForeign
	}
	return from + int64(cut), nil
}

// ours reports whether a torn end can be the beginning of a line of ours, or zeros.
func ours(torn []byte) bool {
	n := min(len(torn), len(start))
	for i := range n {
		if torn[i] == 0 {
			return true
		}
		if torn[i] != start[i] {
			return false
		}
	}
	return true
}
