package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
	"github.com/stixbridge/stixbridge/stix"
)

// rest lets the consumer do all that it can do now.
func rest() { time.Sleep(5 * time.Second); synctest.Wait() }

func TestReplayFolds(t *testing.T) {
	for _, c := range []struct {
		name  string
		cfg   bridge.ConsumerConfig
		put   func(w *world)
		order Order
		want  string
	}{
		{"each object once, in its current state", bridge.ConsumerConfig{}, func(w *world) {
			w.put(bridge.Event{Object: obj("a", 1)})
			w.put(bridge.Event{Object: obj("b", 1)})
			w.put(bridge.Event{Object: obj("a", 2)})
			w.put(bridge.Event{Object: obj("c", 1)})
			w.put(bridge.Event{Object: obj("a", 3)})
		}, Order{From: 1, To: 3}, "update b1@2, update a3@5"},
		{"a deleted one is retracted, not brought back", bridge.ConsumerConfig{}, func(w *world) {
			w.put(bridge.Event{Object: obj("a", 1)})
			w.put(bridge.Event{Object: obj("a", 1), Op: bridge.Delete})
		}, Order{From: 1, To: 1}, "retract a1@2"},
		{"what is above the ceiling today is not shown, not even in its retract", bridge.ConsumerConfig{MaxTLP: "green"}, func(w *world) {
			w.put(bridge.Event{Object: obj("a", 1)})
			w.put(bridge.Event{Object: obj("a", 2), TLP: stix.Red})
		}, Order{From: 1, To: 2}, "retract a@2"},
		{"what never passed is no news", bridge.ConsumerConfig{Where: "v"}, func(w *world) {
			w.put(bridge.Event{Object: obj("a", 1)})
			w.put(bridge.Event{Object: obj("a", 2)})
		}, Order{From: 1, To: 2}, ""},
		{"what passed in the span and does not today is retracted once", bridge.ConsumerConfig{Where: "v"}, func(w *world) {
			w.put(bridge.Event{Object: obj("a", 1)})
			w.put(bridge.Event{Object: obj("a", 80)})
			w.put(bridge.Event{Object: obj("a", 81)})
			w.put(bridge.Event{Object: obj("a", 3)})
		}, Order{From: 1, To: 4}, "retract a80@4"},
		{"what did not pass in the span and does today is delivered once", bridge.ConsumerConfig{Where: "v"}, func(w *world) {
			w.put(bridge.Event{Object: obj("a", 1)})
			w.put(bridge.Event{Object: obj("a", 80)})
		}, Order{From: 1, To: 2}, "update a80@2"},
		{"a filter chooses the events", bridge.ConsumerConfig{}, func(w *world) {
			w.put(bridge.Event{Object: obj("a", 1)})
			w.put(bridge.Event{Object: obj("b", 1)})
		}, Order{From: 1, To: 2, Spec: json.RawMessage(`"indicator--b"`)}, "update b1@2"},
		{"exact: event by event", bridge.ConsumerConfig{}, func(w *world) {
			w.put(bridge.Event{Object: obj("a", 1)})
			w.put(bridge.Event{Object: obj("a", 2)})
			w.put(bridge.Event{Object: obj("a", 2), Op: bridge.Delete})
		}, Order{From: 1, To: 3, Exact: true}, "create a1@1, update a2@2, delete a2@3"},
		{"exact: never above today's TLP", bridge.ConsumerConfig{MaxTLP: "green"}, func(w *world) {
			w.put(bridge.Event{Object: obj("a", 1)})
			w.put(bridge.Event{Object: obj("a", 2)})
			w.put(bridge.Event{Object: obj("a", 3), TLP: stix.Red})
		}, Order{From: 1, To: 3, Exact: true}, "retract a@3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sink := newWorld(t), &target{}
				c.put(w)
				cfg := w.config(sink)
				opt := gate.Options{}
				if c.cfg.Where != "" {
					opt.Where = high
				}
				cfg.Gate = w.gates(c.cfg, bridge.Traits{}, opt)
				cfg.Match = func(spec json.RawMessage) (func(bridge.Event) bool, error) {
					return func(e bridge.Event) bool { return strings.Contains(string(spec), e.Object.ID()) }, nil
				}
				r := w.start(cfg)
				rest()
				sink.got = nil // the target lost everything
				c.order.ID = "r1"
				if err := r.Replay(t.Context(), c.order); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, sink.story()); diff != "" {
					t.Errorf("arrived (-want +got):\n%s", diff)
				}
				if s := r.Status(uint64(len(w.events))); s.Lag != 0 || s.Replay != nil || len(w.orders) != 0 {
					t.Errorf("status %+v, orders %v", s, w.orders)
				}
				r.end()
			})
		})
	}
}

func TestAReplayIsRefused(t *testing.T) {
	w, sink := newWorld(t), &target{}
	cfg := w.stateSink(sink, bridge.ConsumerConfig{})
	l := &life{world: w}
	cfg.Log, cfg.Latest, cfg.Positions, cfg.Letters = l, l, l, l
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		order Order
		want  string
	}{
		{"exact at a mirror of state", Order{From: 1, To: 2, Exact: true}, "consumer c mirrors state: an exact replay would put old versions over new ones; leave exact out"},
		{"a span that ends before it begins", Order{From: 2, To: 1}, "consumer c: a replay from 2 to 1 is no span"},
		{"a filter that nobody can read", Order{From: 1, To: 1, Spec: json.RawMessage("{}")}, "consumer c: a replay cannot be filtered here"},
	} {
		if err := r.Replay(t.Context(), c.order); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func TestAReplayKeepsItsPaceAndSurvivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		const n = 2000
		for i := range n {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		cfg := w.config(sink)
		cfg.ReplayRate = 100
		r := w.start(cfg)
		rest()
		before := w.state.Floors[3]
		sink.got = nil
		go func() { _ = r.Replay(context.Background(), Order{ID: "r1", From: 1, To: n}) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := len(sink.seqs()); got < 950 || got > 1050 {
			t.Errorf("%d arrived in 10 s at 100 a second", got)
		}
		if s := r.Status(n); s.Replay == nil || s.Replay.Total != n || s.Replay.Done < 950 || s.Lag != 0 {
			t.Errorf("status %+v", s)
		}
		r.crash()
		r = w.start(cfg)
		time.Sleep(12 * time.Second)
		synctest.Wait()
		seen := map[uint64]bool{}
		for _, s := range sink.seqs() {
			seen[s] = true
		}
		if len(seen) != n || len(sink.got) > n+250 {
			t.Errorf("%d objects arrived, in %d deliveries", len(seen), len(sink.got))
		}
		if len(w.orders) != 0 || w.state.Floors[3] != before {
			t.Errorf("orders %v, floor %d, was %d", w.orders, w.state.Floors[3], before)
		}
		r.end()
	})
}

// TestReplayWhileTheLogGoesOn empties a mirror of state in the middle of it and replays everything: in the end it holds what is
// asserted, and never got an older version after a newer one.
func TestReplayWhileTheLogGoesOn(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(seed), 11))
				faults := rand.New(rand.NewPCG(uint64(seed), 12))
				w, sink := newWorld(t), &target{}
				w.lag = rng.IntN(2)
				sink.set(func(context.Context, []bridge.Event) error {
					sink.mu.Lock()
					slow, bad := time.Duration(faults.IntN(200))*time.Millisecond, faults.IntN(5) == 0
					sink.mu.Unlock()
					time.Sleep(slow)
					if bad {
						return errors.New("503")
					}
					return nil
				})
				c := bridge.ConsumerConfig{Where: "v", MaxTLP: "green"}
				if rng.IntN(2) == 0 {
					c.Prefer = []string{"q", "r"}
				}
				start := func() *run {
					cfg := w.stateSink(sink, c)
					cfg.Concurrency = 1 + seed%4
					return w.start(cfg)
				}
				r := start()
				for i := range 100 {
					randomEvent(w, rng, i)
					time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
				}
				last := uint64(len(w.events))
				sink.mu.Lock()
				sink.got = nil
				lostAll := last
				sink.mu.Unlock()
				go func() { _ = r.Replay(context.Background(), Order{ID: "r", From: 1, To: lostAll}) }()
				for i := range 100 {
					randomEvent(w, rng, 100+i)
					time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
					if i%40 == 20 && rng.IntN(2) == 0 {
						r.crash()
						r = start()
					}
				}
				time.Sleep(20 * time.Minute)
				synctest.Wait()
				if len(w.orders) != 0 {
					t.Errorf("the replay did not end: %+v", w.orders)
				}
				r.drain()
				ordered(t, sink.got)
				if diff := cmp.Diff(w.asserted(r), sink.holds()); diff != "" {
					t.Errorf("the target holds (-asserted +held):\n%s", diff)
					for i := range 8 {
						w.tell(fmt.Sprint("indicator--", i), sink, c.Prefer)
					}
				}
				for _, e := range sink.got {
					if e.TLP.Rank() > stix.Green.Rank() {
						t.Errorf("%s arrived at a green sink", e.TLP)
					}
				}
			})
		})
	}
}
