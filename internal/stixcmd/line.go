package stixcmd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// maxLine is the length that one line may have, in bytes.
const maxLine = 64 << 20

// eachLine calls f with every line, without its line feed, and writes what f appended to
// out. Lines end at line feeds only: values may hold other line separators. The output is
// flushed whenever no more input is at hand, so that the filter works in a pipe.
func eachLine(in io.Reader, out io.Writer, f func(n int, line []byte, out *bytes.Buffer)) error {
	r := bufio.NewReaderSize(in, 256<<10)
	var long []byte
	var result bytes.Buffer
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			long = append(long[:0], line...)
			for err == bufio.ErrBufferFull {
				line, err = r.ReadSlice('\n')
				if len(long)+len(line) <= maxLine {
					long = append(long, line...)
				} else {
					long = append(long[:0], "line too long"...) // no JSON: reported as such
				}
			}
			line = long
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if len(line) > 0 || err == nil {
			f(n, bytes.TrimSuffix(line, []byte("\n")), &result)
		}
		if err == io.EOF || r.Buffered() == 0 || result.Len() > 64<<10 {
			if _, werr := result.WriteTo(out); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}
