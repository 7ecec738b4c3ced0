package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// TestAStateSinkEndsWithWhatIsAsserted plays random producers against a mirror of state, with faults and crashes, and compares
// what it holds in the end with what the producers assert.
func TestAStateSinkEndsWithWhatIsAsserted(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { converge(t, uint64(seed)) })
		})
	}
}

func converge(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 9))
	w, sink := newWorld(t), &target{}
	w.lag = rng.IntN(2)
	faults := rand.New(rand.NewPCG(seed, 10))
	sick := true
	sink.set(func(context.Context, []bridge.Event) error {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		if sick && faults.IntN(4) == 0 {
			return errors.New("503")
		}
		return nil
	})
	c := bridge.ConsumerConfig{Where: "v >= 70", MaxTLP: "amber"}
	switch rng.IntN(3) {
	case 1:
		c.Prefer = []string{"q"}
	case 2:
		c.Prefer = []string{"r", "p", "q"}
	}
	start := func() *run {
		cfg := w.stateSink(sink, c)
		cfg.Concurrency = 1 + int(seed%3)
		cfg.Start = StartAll
		if seed%2 == 1 {
			cfg.Start = StartLatest
		}
		return w.start(cfg)
	}
	for i := range rng.IntN(50) { // before the consumer exists
		randomEvent(w, rng, i)
	}
	r := start()
	for i := range 400 {
		randomEvent(w, rng, i)
		if rng.IntN(20) == 0 {
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
		}
		if rng.IntN(60) == 0 {
			r.crash()
			r = start()
		}
	}
	sink.mu.Lock()
	sick = false
	sink.mu.Unlock()
	r.drain()
	ordered(t, sink.got)
	if diff := cmp.Diff(w.asserted(r), sink.holds()); diff != "" {
		t.Errorf("the target holds (-asserted +held):\n%s", diff)
		for id, raw := range w.asserted(r) {
			if sink.holds()[id] != raw {
				w.tell(id, sink, c.Prefer)
			}
		}
	}
}

// tell logs the history of one object.
func (w *world) tell(id string, sink *target, prefer []string) {
	w.t.Logf("prefer %v", prefer)
	for _, e := range w.events {
		if e.Object.ID() == id {
			w.t.Logf("log %d: %s %s %s prev %d %s", e.Seq, e.Producer, e.Op, e.TLP, e.Context.Prev, e.Object.Raw())
		}
	}
	for _, e := range sink.got {
		if e.Object.ID() == id {
			w.t.Logf("got %d: %s %s %s cause %d %s", e.Seq, e.Producer, e.Op, e.TLP, e.Context.Cause, e.Object.Raw())
		}
	}
}

// randomEvent appends what a random producer might say about one of a few objects.
func randomEvent(w *world, rng *rand.Rand, v int) {
	producer, name := string(rune('p'+rng.IntN(3))), fmt.Sprint(rng.IntN(8))
	e := bridge.Event{Producer: producer, Object: obj(name, 50+rng.IntN(50), fmt.Sprintf(`"n":%d`, v)), TLP: stix.Green}
	if rng.IntN(10) == 0 {
		e.TLP = stix.Red
	}
	w.mu.Lock()
	var last *bridge.Event
	for i := len(w.events) - 1; i >= 0 && last == nil; i-- {
		if old := &w.events[i]; old.Producer == producer && old.Object.ID() == e.Object.ID() {
			last = old
		}
	}
	w.mu.Unlock()
	switch {
	case last == nil || last.Retracts():
	case rng.IntN(4) == 0:
		e.Op, e.Object, e.TLP = bridge.Delete, last.Object, last.TLP
	case e.TLP.Rank() > last.TLP.Rank():
		w.put(bridge.Event{Producer: producer, Object: last.Object, TLP: last.TLP, Op: bridge.Retract, Context: bridge.Context{Reason: "reclassified", Next: true}})
	}
	w.put(e)
}

// asserted is what a mirror of state should hold.
func (w *world) asserted(r *run) map[string]string {
	all := map[string][]Assertion{}
	for _, e := range w.events {
		id := e.Object.ID()
		kept := all[id][:0]
		for _, a := range all[id] {
			if a.Producer != e.Producer {
				kept = append(kept, a)
			}
		}
		all[id] = append(kept, Assertion{Producer: e.Producer, Seq: e.Seq, Op: e.Op, TLP: e.TLP, Object: e.Object, Time: e.Time})
	}
	m := map[string]string{}
	for id, as := range all {
		var pass []Assertion
		for _, a := range as {
			if r.decide.passes(a) {
				pass = append(pass, a)
			}
		}
		if len(pass) > 0 {
			m[id] = string(r.decide.best(pass).Object.Raw())
		}
	}
	return m
}
