package main

import (
	"fmt"
	"strings"
)

// enoughRuns is how many runs a median needs; fewer are marked.
const enoughRuns = 5

// table prints the results as docs/performance.md has them.
func (b *bench) table() {
	fmt.Printf("\n| what | against | target | ratio (lowest, highest) | ours and theirs | µs of CPU each | p50, p99 | runs |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range b.results {
		name := r.Name
		for _, more := range []string{r.Size, r.Note} {
			if more != "" {
				name += "; " + more
			}
		}
		if r.Skipped != "" {
			fmt.Printf("| %s | %s | %s | skipped: %s | | | | |\n", name, dash(r.Against), dash(r.Target), r.Skipped)
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
		fmt.Printf("| %s | %s | %s | %s | %s | %s | %s | %s |\n", strings.ReplaceAll(name, "|", "/"), dash(r.Against), dash(r.Target), ratio, both, burnt, spread, runs)
	}
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
