package delivery

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

var seeds = flag.Int("seeds", 25, "random schedules of failures and crashes")

// moody is a target with every fault that targets have; what it has applied outlives the processes that call it.
type moody struct {
	target
	w      *world
	rng    *rand.Rand
	mood   int // 0 well … 5
	poison map[string]bool
	life   *life
	have   map[uint64]bool
}

func (m *moody) Deliver(ctx context.Context, batch []bridge.Event) error {
	m.mu.Lock()
	l := m.life // the process that calls
	mood, fault, slow, early := m.mood, m.rng.IntN(100), time.Duration(m.rng.IntN(300))*time.Millisecond, m.rng.IntN(2) == 0
	m.calls++
	m.biggest = max(m.biggest, len(batch))
	m.mu.Unlock()
	seen := map[string]bool{}
	for i, e := range batch {
		if seen[e.Object.ID()] {
			m.w.t.Errorf("%s twice in a batch", e.Object.ID())
		}
		seen[e.Object.ID()] = true
		if i > 0 && e.Seq < batch[i-1].Seq {
			m.w.t.Errorf("batch not in log order: %d after %d", e.Seq, batch[i-1].Seq)
		}
	}
	apply := func(e bridge.Event) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.got = append(m.got, e)
		m.have[e.Seq] = true
	}
	all := func() {
		for _, e := range batch {
			apply(e)
		}
	}
	if l.over() {
		return errDead
	}
	poisoned := slices.IndexFunc(batch, func(e bridge.Event) bool { return m.poison[e.Object.ID()] })
	if poisoned < 0 && early && mood != 2 && fault < 80 {
		all() // applied at once, answered later: or never, when the process dies meanwhile
		time.Sleep(slow)
		if fault < 10 {
			return errors.New("connection reset after the target had taken it")
		}
		return nil
	}
	time.Sleep(slow)
	if l.over() {
		return errDead
	}
	switch {
	case mood == 2:
		return errors.New("503")
	case mood == 3:
		return bridge.Paused(errors.New("401"))
	case mood == 4 && fault < 50:
		return bridge.RetryAfter(errors.New("429"), 2*time.Second)
	case mood == 5 && fault < 30:
		<-ctx.Done()
		return ctx.Err()
	case poisoned >= 0 && fault%3 == 0:
		var b bridge.BatchError
		for i, e := range batch {
			if m.poison[e.Object.ID()] {
				b.Fail(i, errors.New("500"))
			} else {
				apply(e)
			}
		}
		return b.Err()
	case poisoned >= 0 && fault%3 == 1:
		for _, e := range batch[:poisoned] {
			apply(e)
		}
		panic("cannot handle this")
	case poisoned >= 0:
		return errors.New("500")
	case fault < 15:
		return errors.New("connection refused")
	}
	all()
	return nil
}

// TestNothingIsLostOrOutOfOrderWhateverHappens plays random schedules of target faults, storage faults and crashes.
func TestNothingIsLostOrOutOfOrderWhateverHappens(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { soak(t, uint64(seed)) })
		})
	}
}

func soak(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t)
	sink := &moody{w: w, rng: rand.New(rand.NewPCG(seed, 2)), poison: map[string]bool{}, have: map[uint64]bool{}}
	objects, n := 1+rng.IntN(60), 200+rng.IntN(800)
	for range rng.IntN(3) {
		sink.poison[fmt.Sprintf("indicator--%d", rng.IntN(objects))] = true
	}
	ordered1 := rng.IntN(4) == 0
	w.failSave = func(c Change) error {
		switch {
		case sink.chance(5):
			return errors.New("the cluster has no leader")
		}
		for p, f := range c.Floors { // the heart of it: no position past what is neither at the target nor in the letters
			w.checkFloor(sink, p, f)
		}
		return nil
	}
	w.failStore = func(Letter) error {
		if sink.chance(20) {
			return errors.New("no space")
		}
		return nil
	}
	w.slowSave = time.Duration(rng.IntN(20)) * time.Millisecond

	fed := make(chan struct{})
	go func() {
		defer close(fed)
		for i := range n {
			w.put(bridge.Event{Object: obj(fmt.Sprint(rng.IntN(objects)), i)})
			if i%50 == 0 {
				time.Sleep(time.Duration(i%7) * time.Second)
			}
		}
	}()
	again := func() *run {
		cfg := w.config(sink)
		cfg.Concurrency = 1 + int(seed%8)
		cfg.Traits.Ordered = ordered1
		cfg.Batch = bridge.Limits{Events: 1 + int(seed*7%40)}
		cfg.Window = bridge.Limits{Events: 100}
		cfg.Timeout = 10 * time.Second
		r := w.start(cfg)
		sink.mu.Lock()
		sink.life = r.life
		sink.mu.Unlock()
		return r
	}
	crng := rand.New(rand.NewPCG(seed, 3))
	r := again()
	for range 12 {
		sink.mu.Lock()
		sink.mood = crng.IntN(6)
		sink.mu.Unlock()
		time.Sleep(time.Duration(crng.IntN(20000)) * time.Millisecond)
		if f := r.Figures(); f.Window > 100 {
			t.Errorf("window holds %d", f.Window)
		}
		switch crng.IntN(3) {
		case 0:
			r.crash()
			r = again()
		case 1:
			r.end()
			r = again()
		}
	}
	<-fed
	sink.mu.Lock()
	sink.mood = 0
	sink.mu.Unlock()
	for i := range 400 { // life goes on, so that what is poison shows
		w.put(bridge.Event{Object: obj(fmt.Sprint("later", i), i)})
		time.Sleep(3 * time.Second)
	}
	if ordered1 && len(sink.poison) > 0 { // an ordered target waits for its head for ever: only a person can help
		sink.mu.Lock()
		clear(sink.poison)
		sink.mu.Unlock()
	}
	r.drain()
	ordered(t, sink.got)
	for _, e := range w.events {
		if _, dead := w.letters[fmt.Sprintf("%d %s", e.Seq, e.Op)]; !dead && !sink.have[e.Seq] {
			t.Errorf("event %d is neither at the target nor in the letters", e.Seq)
		}
	}
	for _, l := range w.letters {
		if !sink.poison[l.Event.Object.ID()] && !ordered1 {
			t.Errorf("a letter for %s, which is well: %s %s", l.Event.Object.ID(), l.Reason, l.Error)
		}
	}
	if sink.biggest > 1+int(seed*7%40) {
		t.Errorf("batch of %d", sink.biggest)
	}
}

func (m *moody) chance(percent int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rng.IntN(100) < percent
}

// checkFloor fails the test when a floor is past an event that is nowhere; w.mu is held.
func (w *world) checkFloor(m *moody, part int, floor uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dead := map[uint64]bool{}
	for _, l := range w.letters {
		dead[l.Event.Seq] = true
	}
	for _, e := range w.events[w.state.Floors[part]:floor] {
		if partitionOf(e.Object.ID(), w.parts) == part && !m.have[e.Seq] && !dead[e.Seq] {
			w.t.Errorf("the floor of partition %d is %d, and event %d is neither at the target nor in the letters", part, floor, e.Seq)
		}
	}
}
