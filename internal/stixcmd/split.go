package stixcmd

import (
	"bufio"
	"fmt"
	"io"

	"github.com/stixbridge/stixbridge/stix"
)

// Split cuts a bundle into bundles of one object each, one a line, in the order of their
// references. What cannot be sent is named on errs. References to objects that are not in
// the bundle stay.
func Split(in io.Reader, out, errs io.Writer) error {
	return SplitWith(in, out, errs, stix.SplitOptions{})
}

// SplitWith is [Split] with options. The whole bundle is held in memory.
func SplitWith(in io.Reader, out, errs io.Writer, opt stix.SplitOptions) error {
	opened, err := stix.Open(in)
	if err != nil {
		return err
	}
	defer opened.Close()
	r := stix.NewReader(opened)
	var objs []stix.Object
	malformed := 0
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if e.Err != nil {
			malformed++
			fmt.Fprintf(errs, "dropped element %d at byte %d: %v\n", e.Index, e.Offset, e.Err)
			continue
		}
		objs = append(objs, e.Object)
	}
	pieces, dropped, err := stix.Split(r.Bundle(), objs, opt)
	if err != nil {
		return err
	}
	for _, d := range dropped {
		fmt.Fprintf(errs, "dropped %s: %s\n", d.ID, d.Reason)
	}
	if n := len(dropped) + malformed; n > 0 {
		fmt.Fprintf(errs, "%d sent, %d dropped\n", len(pieces), n)
	}
	w := bufio.NewWriter(out)
	for _, p := range pieces {
		w.Write(p.Bundle)
		w.WriteByte('\n')
	}
	return w.Flush()
}
