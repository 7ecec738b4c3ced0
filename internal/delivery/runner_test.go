package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
)

func upTo(n int) []uint64 {
	all := make([]uint64, n)
	for i := range all {
		all[i] = uint64(i + 1)
	}
	return all
}

func sorted(s []uint64) []uint64 { s = slices.Clone(s); slices.Sort(s); return s }

// ordered fails the test when an older version of an object arrived after a newer one.
func ordered(t testing.TB, got []bridge.Event) {
	t.Helper()
	newest := map[string]uint64{}
	for _, e := range got {
		if e.Seq < newest[e.Object.ID()] {
			t.Errorf("%s: %d arrived after %d", e.Object.ID(), e.Seq, newest[e.Object.ID()])
		}
		newest[e.Object.ID()] = max(newest[e.Object.ID()], e.Seq)
	}
}

func TestEverythingArrivesOnceAndInOrder(t *testing.T) {
	for _, c := range []struct {
		name        string
		concurrency int
		traits      bridge.Traits
	}{{"one worker", 1, bridge.Traits{}}, {"eight workers", 8, bridge.Traits{}}, {"ordered target", 8, bridge.Traits{Ordered: true}}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sink := newWorld(t), &target{}
				const n = 3000
				for i := range n {
					w.put(bridge.Event{Object: obj(fmt.Sprint(i%70), i)})
				}
				cfg := w.config(sink)
				cfg.Concurrency, cfg.Traits = c.concurrency, c.traits
				w.start(cfg).drain()
				if diff := cmp.Diff(upTo(n), sorted(sink.seqs())); diff != "" {
					t.Errorf("arrived (-want +got):\n%s", diff)
				}
				if c.traits.Ordered {
					if diff := cmp.Diff(upTo(n), sink.seqs()); diff != "" {
						t.Errorf("not in log order (-want +got):\n%s", diff)
					}
				}
				ordered(t, sink.got)
				for p, f := range w.state.Floors {
					if f > n {
						t.Errorf("floor of %d is %d", p, f)
					}
				}
			})
		})
	}
}

func TestASecondRunBeginsWhereTheFirstEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		w.put(bridge.Event{Object: obj("a", 1)})
		w.start(w.config(sink)).drain()
		w.put(bridge.Event{Object: obj("a", 2)})
		w.start(w.config(sink)).drain()
		if diff := cmp.Diff("create a1@1, update a2@2", sink.story()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNoNewerVersionStartsBeforeThePositionOfTheOneBeforeIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		broken := true
		w.failSave = func(Change) error {
			if broken {
				return errors.New("no quorum")
			}
			return nil
		}
		w.put(bridge.Event{Object: obj("a", 1)})
		w.put(bridge.Event{Object: obj("a", 2)})
		w.put(bridge.Event{Object: obj("b", 1)})
		r := w.start(w.config(sink))
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff("create a1@1, create b1@3", sink.story()); diff != "" {
			t.Error(diff)
		}
		if s := r.Status(3); s.Health != bridge.Unhealthy || s.Error != "position: no quorum" {
			t.Errorf("health %q %q", s.Health, s.Error)
		}
		w.mu.Lock()
		broken = false
		w.mu.Unlock()
		r.drain()
		if diff := cmp.Diff("create a1@1, create b1@3, update a2@2", sink.story()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		cfg := w.config(sink)
		r := w.start(cfg)
		r.Pause()
		for i := range 5000 {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(sink.seqs()); n != 0 {
			t.Errorf("%d arrived while paused", n)
		}
		if f := r.Figures(); f.Window != 1024 {
			t.Errorf("window holds %d", f.Window)
		}
		if s := r.Status(5000); s.Health != bridge.Stopped || s.Lag != 5000 || s.OldestAge < 3600 {
			t.Errorf("status %+v", s)
		}
		r.Resume()
		r.drain()
		if n := len(sink.seqs()); n != 5000 {
			t.Errorf("%d arrived", n)
		}
	})
}

func TestShutdownLetsADeliveryFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		sink.set(func(context.Context, []bridge.Event) error { time.Sleep(5 * time.Second); return nil })
		w.put(bridge.Event{Object: obj("a", 1)})
		r := w.start(w.config(sink))
		time.Sleep(time.Second)
		r.end()
		if sink.story() != "create a1@1" || w.state.Floors[partitionOf("indicator--a", 16)] != 1 {
			t.Errorf("%s, floors %v", sink.story(), w.state.Floors)
		}
	})
}

func TestALostPositionEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		w.failSave = func(Change) error { return fmt.Errorf("revision 7: %w", ErrFenced) }
		w.put(bridge.Event{Object: obj("a", 1)})
		r := w.start(w.config(sink))
		if err := <-r.done; !errors.Is(err, ErrFenced) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestAPluginThatIgnoresItsDeadlineIsShownAndLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		stuck := make(chan struct{})
		defer close(stuck)
		sink.set(func(context.Context, []bridge.Event) error { <-stuck; return nil })
		w.put(bridge.Event{Object: obj("a", 1)})
		r := w.start(w.config(sink))
		time.Sleep(2 * time.Minute)
		if s := r.Status(1); s.Health != bridge.Unhealthy || s.Error != "a delivery has not come back 1m0s after its deadline" {
			t.Errorf("%q %q", s.Health, s.Error)
		}
		began := time.Now()
		r.end()
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("the end took %s", took)
		}
		if f := w.state.Floors[partitionOf("indicator--a", 16)]; f != 0 {
			t.Errorf("floor %d", f)
		}
	})
}

func TestALostLeaseCutsDeliveriesOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		sink.set(func(ctx context.Context, _ []bridge.Event) error { <-ctx.Done(); return ctx.Err() })
		w.put(bridge.Event{Object: obj("a", 1)})
		l := &life{world: w, dead: make(chan struct{})}
		cfg := w.config(sink)
		cfg.Log, cfg.Latest, cfg.Positions, cfg.Letters = l, l, l, l
		r, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, lose := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(time.Second)
		saves, began := w.saves, time.Now()
		lose(fmt.Errorf("the lease of c: %w", ErrFenced))
		if err := <-done; !errors.Is(err, ErrFenced) {
			t.Errorf("ended with %v", err)
		}
		if time.Since(began) > time.Second || w.saves != saves {
			t.Errorf("ended after %s, with %d saves", time.Since(began), w.saves-saves)
		}
		if err := r.Run(t.Context()); err == nil {
			t.Error("ran twice")
		}
	})
}
