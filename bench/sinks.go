package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/stixbridge/stixbridge/bridge"
)

// idler is a sink that takes everything and does nothing: what is left is the bridge itself.
var idler = bridge.Define("bench-idle", "Takes everything and does nothing", struct{}{}, func(struct{}) (bridge.Sink, error) { return nothing{}, nil }).
	With(bridge.Traits{Start: "all"}).For("kind: bench-idle\nname: idle\n")

// taken counts what idle sinks took, so that nobody has to ask the bridge for its status all the time.
var taken atomic.Int64

type nothing struct{}

func (nothing) Deliver(_ context.Context, batch []bridge.Event) error {
	taken.Add(int64(len(batch)))
	return nil
}

// toIdle compares the way from the log to a sink that does nothing, with gates, order per object and durable positions, with one bare reader of the
// same log; and several sinks, which each read for themselves, with one. The log of the first is long, so that what a start costs is not in it.
func toIdle(ctx context.Context, b *bench) error {
	long, err := b.mixed()
	if err != nil {
		return err
	}
	dir, err := b.fill(ctx, long)
	if err != nil {
		return err
	}
	var ours, bare side
	for range b.runs {
		if err := b.reading(ctx, dir, long.objects, &bare); err != nil {
			return err
		}
		if err := b.idling(ctx, dir, 1, long.objects, &ours); err != nil {
			return err
		}
	}
	_ = os.RemoveAll(dir)
	b.versus(comparison{name: "log → an idle sink", against: "a bare reader", n: long.objects, ours: ours, bare: bare, least: 0.8, size: long.size})
	c, err := b.corpus()
	if err != nil {
		return err
	}
	if dir, err = b.filled(ctx); err != nil {
		return err
	}
	sides := map[int]side{}
	counts := []int{1, 5, 20}
	for range min(b.runs, 3) {
		for _, n := range counts {
			s := sides[n]
			if err := b.idling(ctx, dir, n, c.objects, &s); err != nil {
				return err
			}
			sides[n] = s
		}
	}
	for _, n := range counts[1:] {
		b.versus(comparison{name: fmt.Sprintf("log → %d idle sinks, deliveries in all", n), against: "one idle sink", n: n * c.objects, bareN: c.objects, ours: sides[n], bare: sides[1], size: c.size})
	}
	return nil
}

// idling runs a number of idle sinks over a store of n events.
func (b *bench) idling(ctx context.Context, dir string, count, n int, into *side) error {
	var names, sections []string
	for range count {
		b.connectors++
		name := fmt.Sprintf("idle-%d", b.connectors)
		names, sections = append(names, name), append(sections, fmt.Sprintf("{ kind: bench-idle, name: %s, start: all, was: none }", name))
	}
	return b.delivers(ctx, fmt.Sprintf("idle-%d", count), dir, names, strings.Join(sections, ", "), n, into)
}
