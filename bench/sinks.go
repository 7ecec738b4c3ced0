package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
)

// idler is a sink that takes everything and does nothing: what is left is the bridge itself.
var idler = bridge.Define("bench-idle", "Takes everything and does nothing", struct{}{}, func(struct{}) (bridge.Sink, error) { return nothing{}, nil }).
	With(bridge.Traits{Start: "all"}).For("kind: bench-idle\nname: idle\n")

type nothing struct{}

func (nothing) Deliver(context.Context, []bridge.Event) error { return nil }

// toIdle compares the way from the log to sinks that do nothing, with gates, order per object and durable positions, with one bare reader of the
// same log: for one sink, and for several that each read for themselves.
func toIdle(ctx context.Context, b *bench) error {
	c, err := b.corpus()
	if err != nil {
		return err
	}
	dir, err := b.filled(ctx)
	if err != nil {
		return err
	}
	counts := []int{1, 5, 20}
	sides := map[int]side{}
	var bare side
	for i := range b.runs {
		if err := b.reading(ctx, dir, c.objects, &bare); err != nil {
			return err
		}
		for _, n := range counts {
			var names, sections []string
			for k := range n {
				names = append(names, fmt.Sprintf("idle-%d-%d-%d", i, n, k))
				sections = append(sections, fmt.Sprintf("{ kind: bench-idle, name: %s, start: all, was: none }", names[k]))
			}
			s := sides[n]
			if err := b.delivers(ctx, fmt.Sprintf("idle-%d", n), dir, names, strings.Join(sections, ", "), c.objects, &s); err != nil {
				return err
			}
			sides[n] = s
		}
	}
	for _, n := range counts {
		if n == 1 {
			b.versus(comparison{name: "log → an idle sink", against: "a bare reader", n: c.objects, ours: sides[n], bare: bare, least: 0.8, size: c.size})
			continue
		}
		b.versus(comparison{name: fmt.Sprintf("log → %d idle sinks, deliveries in all", n), against: "one idle sink", n: n * c.objects, bareN: c.objects, ours: sides[n], bare: sides[1],
			note: "each sink reads the log for itself"})
	}
	return nil
}
