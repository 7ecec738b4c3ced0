package main

import (
	"fmt"
	"slices"
	"time"
)

// result is one line of the outcome.
type result struct {
	Name    string  `json:"name"`
	Against string  `json:"against,omitempty"` // what Bare is
	Ours    float64 `json:"ours"`              // in Unit, median
	Bare    float64 `json:"bare,omitempty"`    // in Unit, median
	Unit    string  `json:"unit"`
	Ratio   float64 `json:"ratio,omitempty"`  // ours to bare
	Low     float64 `json:"low,omitempty"`    // lowest ratio of a pair of runs
	High    float64 `json:"high,omitempty"`   // highest
	CPU     float64 `json:"cpu_us,omitempty"` // processor time of one object, µs; an embedded server's included
	BareCPU float64 `json:"bare_cpu_us,omitempty"`
	P50     float64 `json:"p50_ms,omitempty"`
	P99     float64 `json:"p99_ms,omitempty"`
	Size    string  `json:"size,omitempty"` // the mix of sizes
	Note    string  `json:"note,omitempty"`
	Runs    int     `json:"runs"`
	Target  string  `json:"target,omitempty"` // empty: none was set
	Met     bool    `json:"met"`
	Skipped string  `json:"skipped,omitempty"` // why there is no figure
}

// sample is what one run took.
type sample struct {
	wall, cpu time.Duration
	peak      int64 // resident bytes at most, of the process alone; 0: not looked at
}

func wall(s sample) time.Duration { return s.wall }
func cpu(s sample) time.Duration  { return s.cpu }

// side holds one side's runs.
type side []sample

func (s side) median(of func(sample) time.Duration) time.Duration {
	all := make([]time.Duration, len(s))
	for i := range s {
		all[i] = of(s[i])
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// peak is the most memory that any run used.
func (s side) peak() (most int64) {
	for _, x := range s {
		most = max(most, x.peak)
	}
	return most
}

// comparison is what versus makes a result of: n things that each side moved in its runs; runs with the same index were neighbours in time.
type comparison struct {
	name, against, unit string
	n                   int // of ours
	bareN               int // of the other side; 0: as many
	ours, bare          side
	least               float64 // ratio that is wanted; 0: none is
	size, note          string
}

// compare adds a result for n objects that each side moved in its runs.
func (b *bench) compare(name, against string, n int, ours, bare side, least float64) {
	b.versus(comparison{name: name, against: against, n: n, ours: ours, bare: bare, least: least})
}

// versus adds a result.
func (b *bench) versus(c comparison) {
	if c.bareN == 0 {
		c.bareN = c.n
	}
	if c.unit == "" {
		c.unit = "objects/s"
	}
	rate := func(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }
	per := func(n int, d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
	r := result{Name: c.name, Against: c.against, Unit: c.unit, Size: c.size, Note: c.note, Runs: len(c.ours), Met: true,
		Ours: rate(c.n, c.ours.median(wall)), Bare: rate(c.bareN, c.bare.median(wall)),
		CPU: per(c.n, c.ours.median(cpu)), BareCPU: per(c.bareN, c.bare.median(cpu))}
	for i := range c.ours {
		q := rate(c.n, c.ours[i].wall) / rate(c.bareN, c.bare[i].wall)
		if r.Low == 0 || q < r.Low {
			r.Low = q
		}
		r.High = max(r.High, q)
	}
	r.Ratio = r.Ours / r.Bare
	if c.least > 0 {
		r.Target, r.Met = fmt.Sprintf("≥ %.2f", c.least), r.Ratio >= c.least
	}
	b.add(r)
}

func (b *bench) add(r result) {
	b.results = append(b.results, r)
	if r.Skipped != "" {
		b.say("%-46s skipped: %s", r.Name, r.Skipped)
		return
	}
	text := fmt.Sprintf("%s %s", number(r.Ours), r.Unit)
	if r.Ratio > 0 {
		text = fmt.Sprintf("%.2f of %s (%.2f to %.2f); %s against %s %s", r.Ratio, r.Against, r.Low, r.High, number(r.Ours), number(r.Bare), r.Unit)
		if r.CPU > 0 {
			text += fmt.Sprintf(", %.0f µs of CPU each against %.0f", r.CPU, r.BareCPU)
		}
	}
	if r.P99 > 0 {
		text += fmt.Sprintf("; p50 %.2f ms, p99 %.2f ms", r.P50, r.P99)
	}
	if r.Target != "" {
		text += "; target " + r.Target + map[bool]string{true: ": met", false: ": MISSED"}[r.Met]
	}
	for _, more := range []string{r.Size, r.Note} {
		if more != "" {
			text += "; " + more
		}
	}
	b.say("%-46s %s", r.Name, text)
}

// number shows a figure with as many digits as say something.
func number(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// sizes describes a mix of sizes in bytes.
func sizes(all []int) string {
	sum := 0
	for _, n := range all {
		sum += n
	}
	p50, p99, most := quantiles(all)
	return fmt.Sprintf("%d B on average, p50 %d, p99 %d, at most %d", sum/max(len(all), 1), p50, p99, most)
}
