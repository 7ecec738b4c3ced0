package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// enoughRuns is how many runs a median needs; fewer are marked.
const enoughRuns = 5

// table is the results as docs/performance.md has them.
func (b *bench) table() string {
	var out strings.Builder
	fmt.Fprintf(&out, "| what | against | target | ratio (lowest, highest) | ours and theirs | µs of CPU each | p50, p99 | runs |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range b.results {
		name := r.Name
		for _, more := range []string{r.Size, r.Note} {
			if more != "" {
				name += "; " + more
			}
		}
		if r.Skipped != "" {
			fmt.Fprintf(&out, "| %s | %s | %s | skipped: %s | | | | |\n", name, dash(r.Against), dash(r.Target), r.Skipped)
			continue
		}
		ratio, both, burnt, spread := "–", number(r.Ours)+" "+r.Unit, "–", "–"
		if r.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f (%.2f, %.2f)", r.Ratio, r.Low, r.High)
			if !r.Met {
				ratio = fmt.Sprintf("**%.2f** (%.2f, %.2f): missed", r.Ratio, r.Low, r.High)
			}
			both = fmt.Sprintf("%s · %s %s", number(r.Ours), number(r.Bare), r.Unit)
		} else if !r.Met {
			ratio = "missed"
		}
		switch {
		case r.CPU > 0 && r.BareCPU > 0:
			burnt = fmt.Sprintf("%.0f · %.0f", r.CPU, r.BareCPU)
		case r.CPU > 0:
			burnt = fmt.Sprintf("%.0f", r.CPU)
		}
		if r.P99 > 0 {
			spread = fmt.Sprintf("%.2f ms, %.2f ms", r.P50, r.P99)
		}
		runs := fmt.Sprint(r.Runs)
		if r.Runs > 0 && r.Runs < enoughRuns {
			runs += " (few)"
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", strings.ReplaceAll(name, "|", "/"), dash(r.Against), dash(r.Target), ratio, both, burnt, spread, runs)
	}
	return out.String()
}

// Where the table stands in a page.
const (
	tableBegins = "<!-- figures: go run ./bench -all -page docs/performance.md -->\n"
	tableEnds   = "<!-- end of figures -->"
)

// page puts the table into a file, in the place of the one that is there.
func (b *bench) page(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), tableBegins)
	_, after, closed := strings.Cut(rest, tableEnds)
	if !ok || !closed {
		return fmt.Errorf("%s has no line %q and %q", path, strings.TrimSpace(tableBegins), tableEnds)
	}
	when := fmt.Sprintf("Taken with %d runs a side on %s.\n\n", b.runs, time.Now().Format(time.DateOnly))
	return os.WriteFile(path, []byte(before+tableBegins+when+b.table()+tableEnds+after), 0o644)
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
