package delivery

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
)

// The way of an event from the reader to the target and behind the position is free of needless allocations: one for the text of its lane's id,
// and its share of what a batch costs.
func TestAnEventOnItsWayToTheTargetCostsFewAllocations(t *testing.T) {
	const n = 40_000
	w := newWorld(t)
	f := &flood{life: &life{world: w, dead: make(chan struct{})}, n: n, objects: n}
	for i := range n {
		o := obj(fmt.Sprint(i), 1)
		f.made = append(f.made, Item{Partition: partitionOf(o.ID(), 16), Event: bridge.Event{Producer: "p", Op: bridge.Update, Object: o}})
	}
	g, err := gate.Compile(bridge.ConsumerConfig{Types: []string{"indicator"}, MaxTLP: "amber"}, bridge.Traits{}, gate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Config{Name: "c", Sink: instant{}, Gate: g, Log: f, Positions: f, Letters: f, Latest: f, Start: StartNew})
	if err != nil {
		t.Fatal(err)
	}
	w.state = &State{Floors: make([]uint64, 16), Phase: Phase{Start: StartAll}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() { done <- r.Run(ctx) }()
	if err := r.Wait(ctx, n); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if each := float64(after.Mallocs-before.Mallocs) / n; each > 3 {
		t.Errorf("%.1f allocations an event, want at most 3", each)
	}
}
