package stixcmd

import (
	"bytes"
	"fmt"
	"io"

	"github.com/stixbridge/stixbridge/stix"
)

// ID prints the deterministic id of each object, "-" where there is none.
func ID(in io.Reader, out, errs io.Writer) error {
	return eachLine(in, out, func(n int, line []byte, out *bytes.Buffer) {
		id, err := stix.ID(line)
		if err != nil {
			fmt.Fprintf(errs, "line %d: %v\n", n, err)
			id = "-"
		}
		out.WriteString(id)
		out.WriteByte('\n')
	})
}
