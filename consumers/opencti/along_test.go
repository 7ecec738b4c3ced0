package opencti

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/stix"
)

// tide is a log in which objects change while others refer to them. What a process can look up is behind the log until it settles.
type tide struct {
	mu    sync.Mutex
	seq   uint64
	last  map[string]bridge.Event // in the log
	shown map[string]bridge.Event // in the latest objects
	over  chan struct{}           // closed when all versions were delivered
}

func (w *tide) write(op bridge.Op, o stix.Object) bridge.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq++
	e := bridgetest.NewEvent(w.seq, op, o)
	w.last[o.ID()] = e
	return e
}

// lend makes the environment of a process; slow says which of its look-ups are so slow that all own events
// are delivered between the answer and what is made of it.
func (w *tide) lend(g *rig, slow func() bool) bridge.Env {
	env := g.env()
	env.Settle = func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for id, e := range w.last {
			w.shown[id] = e
		}
		return nil
	}
	env.Current = func(ctx context.Context, id, _ string) (bridge.Event, bool, error) {
		w.mu.Lock()
		e, ok := w.shown[id]
		wait := slow()
		w.mu.Unlock()
		if wait {
			select {
			case <-w.over:
			case <-ctx.Done():
			}
		}
		return e, ok, nil
	}
	return env
}

// An object that goes along was looked up before; its newer version may be on the queue already, from another call or another process. The
// last word about each object must be its newest version.
func TestWhatGoesAlongIsNeverTheLastWordWhenItIsOld(t *testing.T) {
	for _, c := range []struct {
		name      string
		processes int
		onDelete  string
	}{
		{"two calls of one process", 1, "auto"},
		{"two processes", 2, "auto"},
		{"two processes, deletes", 2, "delete"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := amqpRig(t, func(k *Config) { k.OnDelete = c.onDelete })
			own := g.s
			if c.processes > 1 {
				g.sink(func(k *Config) { k.OnDelete = c.onDelete })
			}
			for seed := range uint64(20) {
				tideAgainst(t, g, own, g.s, seed)
			}
			if n := g.s.Report()["overtaken"]; n == nil {
				t.Error("nothing was overtaken: the test is too tame")
			}
		})
	}
}

// tideAgainst lets one sink deliver versions of objects, and the other what refers to them.
func tideAgainst(t *testing.T, g *rig, owner, other *sink, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 5))
	w := &tide{last: map[string]bridge.Event{}, shown: map[string]bridge.Event{}, over: make(chan struct{})}
	late := rand.New(rand.NewPCG(seed, 6)) // w.mu guards it
	env := w.lend(g, func() bool {
		return late.IntN(2) > 0
	})
	for _, s := range []*sink{owner, other} {
		s.mu.Lock()
		s.env = env
		s.mu.Unlock()
	}
	const objects, versions = 4, 3
	id := func(i int) string { return nid("malware", int(seed)*100+i) }
	thing := func(i, v int) stix.Object {
		return obj(t, `{"type":"malware","spec_version":"2.1","id":%q,"created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:0%d.000Z","name":"v%d","is_family":true}`, id(i), v, v)
	}
	for i := range objects {
		w.write(bridge.Create, thing(i, 0)) // sent long ago
	}
	_ = env.Settle(t.Context())
	var wg sync.WaitGroup
	plan := rng.Perm(objects * versions)
	dead := rng.IntN(objects + 1)
	wg.Go(func() { // own events, in the order of each object's versions
		defer close(w.over)
		at := [objects]int{}
		for _, n := range plan {
			i := n % objects
			at[i]++
			op, o := bridge.Update, thing(i, at[i])
			if at[i] == versions && i == dead {
				op, o = bridge.Delete, thing(i, at[i]-1)
			}
			e := w.write(op, o)
			if err := owner.Deliver(t.Context(), []bridge.Event{e}); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		}
	})
	for n := range 4 {
		from, to := rng.IntN(objects), rng.IntN(objects)
		wg.Go(func() {
			rel := obj(t, `{"type":"relationship","spec_version":"2.1","id":%q,"created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:00.000Z","relationship_type":"related-to","source_ref":%q,"target_ref":%q}`, nid("relationship", int(seed)*100+n), id(from), id(to))
			other.memory.clear() // as of a process that has sent nothing yet
			if err := other.Deliver(t.Context(), []bridge.Event{w.write(bridge.Create, rel)}); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
	wg.Wait()
	word := map[string]string{}
	for _, d := range g.queued() {
		o := content(t, d)
		said := fmt.Sprint(o["name"])
		if op, ok := o["opencti_operation"].(string); ok {
			said = op
		}
		word[o["id"].(string)] += " " + said
	}
	for i := range objects {
		want := " " + fmt.Sprint("v", versions)
		if i == dead {
			if want = " delete"; owner.OnDelete != "delete" {
				continue // malware is left as it was
			}
		}
		if got := word[id(i)]; !strings.HasSuffix(got, want) {
			t.Errorf("seed %d: object %d: on the queue:%s; its last version is%s", seed, i, got, want)
		}
	}
}
