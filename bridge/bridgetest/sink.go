package bridgetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/httpx"
)

// SinkCase says how a kind of sink is tested.
type SinkCase struct {
	Plugin bridge.Plugin[bridge.Sink]
	Target func(t testing.TB) Target // a fresh one
	Events []bridge.Event            // nil: Sample
	// Silent are events that this kind passes over without touching the target (by its nature, or its default on_delete).
	Silent func(bridge.Event) bool
	// Exclusive says that one instance holds the target alone: a killed one is closed before the next is made, as a process's end does.
	Exclusive bool
	Secrets   []string          // texts out of Section that no error may show
	Skip      map[string]string // checks left out, by name, with the reason
}

// Sink runs the suite over one kind.
func Sink(t *testing.T, c SinkCase) {
	t.Helper()
	if c.Events == nil {
		c.Events = Sample()
	}
	if c.Silent == nil {
		c.Silent = func(bridge.Event) bool { return false }
	}
	check := func(name string, f func(*testing.T)) {
		t.Run(name, func(t *testing.T) {
			if why := c.Skip[name]; why != "" {
				t.Skip(why)
			}
			leaks := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
			f(t)
		})
	}
	for _, size := range []int{1, 7, 1000} {
		check(fmt.Sprintf("every event arrives once and in order, in batches of %d", size), func(t *testing.T) { c.arrives(t, size) })
	}
	check("a delivery repeated is harmless", c.repeated)
	check("each fault is an error of the right kind", c.kinds)
	check("after each fault everything arrives", c.heals)
	check("an event that the target refuses ends alone", c.poison)
	check("killed anywhere and resumed, every event arrives", c.crashes)
	check("cancelled while the target is silent, it returns within a second", c.cancel)
	check("a target that is not there is a plain error", c.absent)
}

// rig is a target with sinks made for it.
type rig struct {
	c      SinkCase
	target Target
	dir    string
	vault  Vault
}

func (c SinkCase) rig(t *testing.T) *rig {
	t.Helper()
	return &rig{c: c, target: c.Target(t), dir: t.TempDir()}
}

// sink makes a new instance, as a restart does, which is closed with the test.
func (r *rig) sink(t *testing.T) bridge.Sink {
	t.Helper()
	s, err := r.c.Plugin.Build(json.RawMessage(r.target.Section()))
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	client := httpx.New(httpx.Options{Trusted: httpx.URLs([]byte(r.target.Section())), Retry: -1})
	t.Cleanup(func() { client.CloseIdleConnections(); closeIf(t, s) })
	if st, ok := s.(bridge.Starter); ok {
		if err := st.Start(t.Context(), r.vault.Env("under-test", r.dir, client)); err != nil {
			t.Fatalf("start: %v", err)
		}
	}
	return s
}

// complete fails unless every event but the dead ones is there, and for no object an older event after a newer one.
func (c SinkCase) complete(t *testing.T, got []Receipt, dead map[string]error) {
	t.Helper()
	there, newest := map[string]int{}, map[string]uint64{}
	for _, g := range got {
		there[g.EventID]++
		if g.Seq < newest[g.Object] {
			t.Errorf("%s: event %d came after %d", g.Object, g.Seq, newest[g.Object])
		}
		newest[g.Object] = max(newest[g.Object], g.Seq)
	}
	for _, e := range c.Events {
		if there[e.ID] == 0 && dead[e.ID] == nil && !c.Silent(e) {
			t.Errorf("event %d (%s of %s) did not arrive", e.Seq, e.Op, e.Object.ID())
		}
		delete(there, e.ID)
	}
	for id := range there {
		t.Errorf("an event arrived that no one delivered: %s", id)
	}
}

func (c SinkCase) arrives(t *testing.T, size int) {
	r := c.rig(t)
	dead, _, err := Driver{Batch: size}.Drive(t.Context(), r.sink(t), c.Events)
	if err != nil || len(dead) != 0 {
		t.Fatalf("%v; dead letters %v", err, dead)
	}
	got := r.target.Received()
	c.complete(t, got, dead)
	loud := 0
	for _, e := range c.Events {
		if !c.Silent(e) {
			loud++
		}
	}
	if len(got) != loud {
		t.Errorf("%d receipts of %d events", len(got), loud)
	}
}

func (c SinkCase) repeated(t *testing.T) {
	r := c.rig(t)
	s := r.sink(t)
	n := Driver{Batch: 7}.next(c.Events)
	for range 2 {
		if err := s.Deliver(t.Context(), append([]bridge.Event(nil), c.Events[:n]...)); err != nil {
			t.Fatal(err)
		}
	}
	if dead, _, err := (Driver{Batch: 7}).Drive(t.Context(), s, c.Events[n:]); err != nil || len(dead) != 0 {
		t.Fatalf("%v; dead letters %v", err, dead)
	}
	c.complete(t, r.target.Received(), nil)
}

var sinkFaults = []struct {
	Fault
	right func(error) bool
}{
	{Unauthorized, bridge.IsPaused}, {Forbidden, bridge.IsPaused},
	{TooMany, waits(120 * time.Second)}, {Busy, waits(120 * time.Second)},
	{TooManyBare, plain}, {Broken, plain}, {Gateway, plain}, {Down, plain}, {Missing, plain}, {Method, plain}, {Reset, plain}, {Hang, plain}, {Lose, plain},
	{Invalid, bridge.IsPermanent}, {Large, bridge.IsPermanent}, {Unusable, bridge.IsPermanent},
}

func (c SinkCase) kinds(t *testing.T) {
	c.needsFaults(t)
	loud := c.loudest()
	for _, f := range sinkFaults {
		t.Run(f.Name, func(t *testing.T) {
			if why := c.Skip[f.Name]; why != "" {
				t.Skip(why)
			}
			r := c.rig(t)
			if !r.target.Fault(f.Fault, -1) {
				t.Skip("this target cannot do that")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			err := r.sink(t).Deliver(ctx, []bridge.Event{loud})
			var some *bridge.BatchError
			if errors.As(err, &some) {
				err = some.Failed[0]
			}
			if !f.right(err) {
				t.Errorf("got %v", err)
			}
			quiet(t, err, c.Secrets)
		})
	}
}

// loudest is an event that reaches the target.
func (c SinkCase) loudest() bridge.Event {
	for _, e := range c.Events {
		if !c.Silent(e) {
			return e
		}
	}
	panic("bridgetest: every event of the case is silent")
}

// needsFaults ends a check on a target that has no faults to play.
func (c SinkCase) needsFaults(t *testing.T) {
	t.Helper()
	if !c.rig(t).target.Fault(Fault{}, 0) {
		t.Skip("this target plays no faults")
	}
}

func (c SinkCase) heals(t *testing.T) {
	c.needsFaults(t)
	for _, f := range []Fault{Unauthorized, TooMany, Broken, Missing, Reset, Hang, Lose} {
		t.Run(f.Name, func(t *testing.T) {
			if why := c.Skip[f.Name]; why != "" {
				t.Skip(why)
			}
			r := c.rig(t)
			if !r.target.Fault(f, 3) {
				t.Skip("this target cannot do that")
			}
			d := Driver{Batch: 7, Timeout: 300 * time.Millisecond}
			dead, _, err := d.Drive(t.Context(), r.sink(t), c.Events)
			if err != nil || len(dead) != 0 {
				t.Fatalf("%v; dead letters %v", err, dead)
			}
			c.complete(t, r.target.Received(), nil)
		})
	}
}

func (c SinkCase) poison(t *testing.T) {
	r := c.rig(t)
	loud := c.loudest()
	if !r.target.Refuse(loud.Object.ID()) {
		t.Skip("this target refuses nothing")
	}
	dead, _, err := Driver{Batch: 7}.Drive(t.Context(), r.sink(t), c.Events)
	if err != nil {
		t.Fatal(err)
	}
	c.complete(t, r.target.Received(), dead)
	want := 0
	for _, e := range c.Events {
		if e.Object.ID() == loud.Object.ID() && !c.Silent(e) {
			want++
			if dead[e.ID] == nil {
				t.Errorf("event %d of the refused object is no dead letter", e.Seq)
			}
		}
	}
	if len(dead) != want {
		t.Errorf("%d dead letters, want %d: %v", len(dead), want, dead)
	}
}

// crashes kills the sink at every third event: its delivery is cut off by a cancelled context and the instance dropped. The next one begins at the
// position of the last success.
func (c SinkCase) crashes(t *testing.T) {
	r := c.rig(t)
	position, kills := 0, 0
	for at := 1; position < len(c.Events); at += 3 {
		ctx, cancel := context.WithCancel(t.Context())
		s := r.sink(t)
		upTo := min(at, len(c.Events))
		if upTo > position {
			_, n, err := Driver{Batch: 2}.Drive(ctx, s, c.Events[position:upTo])
			if err != nil {
				t.Fatal(err)
			}
			position += n
		}
		if position < len(c.Events) { // the delivery that is cut off: it may have arrived or not
			cancelled := time.AfterFunc(time.Duration(at%5)*200*time.Microsecond, cancel)
			_ = s.Deliver(ctx, c.Events[position:position+1])
			cancelled.Stop()
			kills++
		}
		cancel()
		if c.Exclusive {
			closeIf(t, s)
		}
	}
	if kills == 0 {
		t.Fatal("nothing was killed: the check proves nothing")
	}
	c.complete(t, r.target.Received(), nil)
}

func (c SinkCase) cancel(t *testing.T) {
	r := c.rig(t)
	if !r.target.Fault(Hang, -1) {
		t.Skip("this target is never silent")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := r.sink(t)
	time.AfterFunc(100*time.Millisecond, cancel)
	returnsInTime(ctx, t, func() error { return s.Deliver(ctx, []bridge.Event{c.loudest()}) })
}

func (c SinkCase) absent(t *testing.T) {
	r := c.rig(t)
	end, ok := r.target.(interface{ End() })
	if !ok {
		t.Skip("this target is always there")
	}
	s := r.sink(t)
	end.End()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := s.Deliver(ctx, []bridge.Event{c.loudest()})
	if !plain(err) {
		t.Errorf("got %v", err)
	}
	quiet(t, err, c.Secrets)
}
