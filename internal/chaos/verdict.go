package chaos

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Table is the account as text.
func (r Report) Table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "consumer\taccepted\t= delivered\t+ held back\t+ dead\t+ pending\t+ LOST\trepeats\trefused as older\tlate (allowed)\t")
	for _, k := range r.Rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d (%d)\t\n", k.Consumer, k.Accepted, k.Delivered, k.Held, k.Dead, k.Pending, k.Lost, k.Repeats, k.Refused, k.Late, k.LateAllowed)
	}
	_ = w.Flush()
	return b.String()
}

// Summary is at most a handful of findings of each kind, as text.
func (r Report) Summary() string {
	var b strings.Builder
	n := map[string]int{}
	for _, f := range r.Findings {
		if n[f.Kind]++; n[f.Kind] <= 5 {
			fmt.Fprintln(&b, f)
		}
	}
	for kind, n := range n {
		if n > 5 {
			fmt.Fprintf(&b, "%s: %d in all\n", kind, n)
		}
	}
	return b.String()
}
