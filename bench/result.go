package main

import (
	"fmt"
	"slices"
	"time"
)

// result is one line of the outcome.
type result struct {
	Name    string  `json:"name"`
	Ours    float64 `json:"ours"`             // in Unit, median
	Bare    float64 `json:"bare,omitempty"`   // in Unit, median
	Unit    string  `json:"unit"`             //
	Ratio   float64 `json:"ratio,omitempty"`  // ours to bare
	Low     float64 `json:"low,omitempty"`    // lowest ratio of a pair of runs
	High    float64 `json:"high,omitempty"`   // highest
	CPU     float64 `json:"cpu_us,omitempty"` // processor time of one object, µs, the server's included
	BareCPU float64 `json:"bare_cpu_us,omitempty"`
	Target  string  `json:"target"`            //
	Met     bool    `json:"met"`               //
	Skipped string  `json:"skipped,omitempty"` // why there is no figure
	Against string  `json:"against,omitempty"` // what bare is
}

// sample is what one run took.
type sample struct{ wall, cpu time.Duration }

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

// compare adds a result for n things that each side moved in its runs; runs with the same index were neighbours in time.
func (b *bench) compare(name, against string, n int, ours, bare side, least float64) {
	rate := func(d time.Duration) float64 { return float64(n) / d.Seconds() }
	r := result{Name: name, Against: against, Unit: "objects/s", Ours: rate(ours.median(wall)), Bare: rate(bare.median(wall)), Target: fmt.Sprintf("≥ %.2f", least)}
	for i := range ours {
		q := bare[i].wall.Seconds() / ours[i].wall.Seconds()
		if r.Low == 0 || q < r.Low {
			r.Low = q
		}
		r.High = max(r.High, q)
	}
	r.Ratio = r.Ours / r.Bare
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
	r.CPU, r.BareCPU = per(ours.median(cpu)), per(bare.median(cpu))
	r.Met = r.Ratio >= least
	b.add(r)
}

func (b *bench) add(r result) {
	b.results = append(b.results, r)
	mark := "met"
	if !r.Met {
		mark = "MISSED"
	}
	switch {
	case r.Skipped != "":
		b.say("%-34s skipped: %s", r.Name, r.Skipped)
	case r.Ratio > 0:
		b.say("%-34s %.2f of %s (%.2f to %.2f); %.0f against %.0f %s, %.0f µs of CPU each against %.0f; target %s: %s",
			r.Name, r.Ratio, r.Against, r.Low, r.High, r.Ours, r.Bare, r.Unit, r.CPU, r.BareCPU, r.Target, mark)
	default:
		b.say("%-34s %.3f %s; target %s: %s", r.Name, r.Ours, r.Unit, r.Target, mark)
	}
}
