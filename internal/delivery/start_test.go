package delivery

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
)

func TestWhereANewConsumerBegins(t *testing.T) {
	for _, c := range []struct {
		start string
		want  string
	}{
		{StartNew, "update a3@4, create c1@5"},
		{StartAll, "create a1@1, create b1@3, update a2@2, update a3@4, create c1@5"},
		{StartTime, "create b1@3, update a3@4, create c1@5"},
		{StartLatest, "create a2@2, create b1@3, update a3@4, create c1@5"},
	} {
		t.Run(c.start, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sink := newWorld(t), &target{}
				w.put(bridge.Event{Object: obj("a", 1)})
				w.put(bridge.Event{Object: obj("a", 2)})
				w.put(bridge.Event{Object: obj("b", 1)})
				cfg := w.config(sink)
				cfg.Start = c.start
				cfg.SeqAt = func(context.Context, time.Time) (uint64, error) { return 3, nil }
				r := w.start(cfg) // the position is made now
				time.Sleep(time.Second)
				w.pace = 2 * time.Second
				w.put(bridge.Event{Object: obj("a", 3)})
				w.put(bridge.Event{Object: obj("c", 1)})
				r.drain()
				if diff := cmp.Diff(c.want, sink.story()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestTheSnapshotLeavesOutWhatIsNotAssertedAndWhatDoesNotPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		w.put(bridge.Event{Object: obj("a", 80)})
		w.put(bridge.Event{Object: obj("a", 80), Op: bridge.Delete})
		w.put(bridge.Event{Object: obj("b", 60)})
		w.put(bridge.Event{Producer: "q", Object: obj("c", 71)})
		w.put(bridge.Event{Producer: "p", Object: obj("c", 72)})
		w.put(bridge.Event{Producer: "q", Object: obj("d", 73)})
		cfg := w.stateSink(sink, bridge.ConsumerConfig{Where: "v", Prefer: []string{"q"}})
		cfg.Start = StartLatest
		r := w.start(cfg)
		r.drain()
		if diff := cmp.Diff("create c71@4, create d73@6", sink.story()); diff != "" {
			t.Error(diff)
		}
		if s := r.Status(6); s.Phase != "live" {
			t.Errorf("phase %q", s.Phase)
		}
	})
}

func TestASnapshotResumesWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		const n = 5000
		for i := range n {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		sink.set(func(context.Context, []bridge.Event) error { time.Sleep(time.Second); return nil })
		cfg := w.config(sink)
		cfg.Start, cfg.Batch = StartLatest, bridge.Limits{Events: 100}
		r := w.start(cfg)
		time.Sleep(20*time.Second + time.Millisecond)
		if s := r.Status(n); s.Phase != "snapshot" || s.Position != n {
			t.Errorf("status %+v", s)
		}
		w.put(bridge.Event{Object: obj("4999", 2)}) // the live log brings it
		w.put(bridge.Event{Object: obj("17", 2)})
		r.crash()
		sink.set(nil)
		w.start(cfg).drain()
		seen := map[string]int{}
		for _, e := range sink.got {
			v, _ := e.Object.Get("v")
			seen[e.Object.ID()+" "+string(v)]++
		}
		if len(seen) != n+1 || seen["indicator--4999 1"] != 0 || seen["indicator--4999 2"] != 1 {
			t.Errorf("%d versions arrived, 4999: %d and %d times", len(seen), seen["indicator--4999 1"], seen["indicator--4999 2"])
		}
		if extra := len(sink.got) - n - 1; extra > 1500 {
			t.Errorf("%d arrived again after the crash", extra)
		}
		ordered(t, sink.got)
	})
}

func TestAnObjectThatChangesDuringTheSnapshotIsNewsToTheTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		w.put(bridge.Event{Object: obj("a", 1)})
		w.put(bridge.Event{Object: obj("b", 1)})
		cfg := w.config(sink)
		cfg.Start, cfg.Gate = StartLatest, w.gates(bridge.ConsumerConfig{Changed: []string{"name"}}, bridge.Traits{}, gate.Options{})
		l := &life{world: w, dead: make(chan struct{})}
		cfg.Log, cfg.Latest, cfg.Positions, cfg.Letters = l, l, l, l
		first, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.put(bridge.Event{Object: obj("b", 2)}) // moves before the snapshot comes to it; changed alone would hold it back
		r := w.start(cfg)
		w.pace = 2 * time.Second
		w.put(bridge.Event{Object: obj("b", 3)})
		w.put(bridge.Event{Object: obj("a", 2)})
		r.drain()
		if diff := cmp.Diff("create a1@1, update b2@3", sink.story()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestALogThatEndsBeforeThePositionStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		for i := range 20 {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		w.start(w.config(sink)).drain()
		w.events = w.events[:10] // an older backup
		r := w.start(w.config(sink))
		err := <-r.done
		if err == nil || !strings.Contains(err.Error(), "ends at 10, before this consumer's position 20") {
			t.Errorf("ended with %v", err)
		}
		if s := r.Status(10); s.Health != bridge.Unhealthy || s.Error != err.Error() {
			t.Errorf("status %+v", s)
		}
	})
}

func TestWhatRetentionTookIsCountedAndShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		for i := range 20 {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		cfg := w.config(sink)
		r := w.start(cfg)
		time.Sleep(time.Second)
		r.Pause()
		r.end()
		for i := range 20 {
			w.put(bridge.Event{Object: obj(fmt.Sprint("late", i), 1)})
		}
		w.keep(31)
		r = w.start(cfg)
		r.drain()
		if n := len(sink.seqs()); n != 30 {
			t.Errorf("%d arrived", n)
		}
		if f := r.Figures(); f.Lost != 10 {
			t.Errorf("%d lost", f.Lost)
		}
	})
}

func TestRetentionThatOvertakesARunningReaderIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		cfg := w.config(sink)
		cfg.Window = bridge.Limits{Events: 10}
		cfg.Batch = bridge.Limits{Events: 10}
		r := w.start(cfg)
		r.Pause()
		for i := range 100 {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		time.Sleep(time.Second)
		w.keep(51) // ten are in the window and one waits for room
		r.Resume()
		time.Sleep(time.Second)
		if s := r.Status(100); s.Health != bridge.Unhealthy || !strings.Contains(s.Error, "39 sequences") {
			t.Errorf("status %q %q", s.Health, s.Error)
		}
		r.drain()
		if n := len(sink.seqs()); n != 61 {
			t.Errorf("%d arrived", n)
		}
	})
}

func TestAFilteredReaderFollowsTheEndOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		cfg := w.config(sink)
		cfg.Gate = w.gates(bridge.ConsumerConfig{Producers: []string{"q"}}, bridge.Traits{}, gate.Options{})
		w.put(bridge.Event{Producer: "q", Object: obj("a", 1)})
		for i := range 10 {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		r := w.start(cfg)
		r.drain()
		if s := r.Status(11); s.Position != 11 || s.Lag != 0 || sink.story() != "create a1@1" {
			t.Errorf("position %d, %s", s.Position, sink.story())
		}
	})
}
