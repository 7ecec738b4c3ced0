package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
)

// flood is a log of n events of a number of objects, without the cost of a log.
type flood struct {
	*life
	n, objects int
	made       []Item
	random     bool
}

func (f *flood) Read(ctx context.Context, from, to uint64, _ Filter, yield func(Item) error) error {
	for i := range f.n {
		it := f.made[i%f.objects]
		if f.random {
			it = f.made[rand.IntN(f.objects)]
		}
		it.Event.Seq = uint64(i + 1)
		if err := yield(it); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *flood) LastSeq(context.Context) (uint64, error) { return uint64(f.n), nil }

type instant struct{}

func (instant) Deliver(context.Context, []bridge.Event) error { return nil }

func BenchmarkRunner(b *testing.B) {
	for _, c := range []struct {
		name    string
		objects int
		traits  bridge.Traits
		workers int
		save    time.Duration
		random  bool
	}{
		{"distinct objects", 1 << 20, bridge.Traits{}, 1, 0, false},
		{"distinct objects, ordered", 1 << 20, bridge.Traits{Ordered: true}, 1, 0, false},
		{"distinct objects, 4 workers", 1 << 20, bridge.Traits{}, 4, 0, false},
		{"10000 objects", 10000, bridge.Traits{}, 1, 0, false},
		{"10000 objects, saves take 2 ms", 10000, bridge.Traits{}, 4, 2 * time.Millisecond, false},
		{"10000 objects at random, saves take 2 ms", 10000, bridge.Traits{}, 4, 2 * time.Millisecond, true},
		{"10000 objects at random, ordered, saves take 2 ms", 10000, bridge.Traits{Ordered: true}, 1, 2 * time.Millisecond, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b)
			w.slowSave = c.save
			f := &flood{life: &life{world: w, dead: make(chan struct{})}, n: b.N, objects: min(c.objects, b.N), random: c.random}
			for i := range f.objects {
				o := obj(fmt.Sprint(i), 1)
				f.made = append(f.made, Item{Partition: partitionOf(o.ID(), 16), Event: bridge.Event{Producer: "p", Op: bridge.Update, Object: o}})
			}
			g, _ := gate.Compile(bridge.ConsumerConfig{Types: []string{"indicator"}, MaxTLP: "amber"}, bridge.Traits{}, gate.Options{})
			r, err := New(Config{Name: "c", Sink: instant{}, Gate: g, Traits: c.traits, Log: f, Positions: f, Letters: f, Latest: f, Start: StartNew, Concurrency: c.workers})
			if err != nil {
				b.Fatal(err)
			}
			w.state = &State{Floors: make([]uint64, 16), Phase: Phase{Start: StartAll}}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			b.ReportAllocs()
			b.ResetTimer()
			go func() { done <- r.Run(ctx) }()
			if err := r.Wait(ctx, uint64(b.N)); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			cancel()
			<-done
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(w.saves), "saves")
		})
	}
}
