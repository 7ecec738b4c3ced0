package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
	"github.com/stixbridge/stixbridge/stix"
)

func TestAnEventKnowsWhatWasBeforeAndWhatItRefersToWithinTheCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		w.put(bridge.Event{Producer: "p", Object: obj("green", 1)})
		w.put(bridge.Event{Producer: "p", Object: obj("red", 1), TLP: stix.Red})
		w.put(bridge.Event{Producer: "q", Object: obj("both", 1)})
		w.put(bridge.Event{Producer: "p", Object: obj("both", 2)})
		w.put(bridge.Event{Producer: "q", Object: obj("both", 3)})
		w.put(bridge.Event{Producer: "p", Object: obj("gone", 1)})
		w.put(bridge.Event{Producer: "p", Object: obj("gone", 1), Op: bridge.Delete})
		w.put(bridge.Event{Producer: "x", Object: obj("foreign", 1)})
		w.put(bridge.Event{Producer: "p", Object: obj("lowered", 1), TLP: stix.Red})
		w.put(bridge.Event{Producer: "p", Object: obj("a", 1)})
		w.put(bridge.Event{Producer: "p", Object: obj("a", 2)})
		w.put(bridge.Event{Producer: "p", Object: obj("lowered", 2)})
		answers := map[string]string{}
		tell := func(o stix.Object, ok bool, err error) string {
			if err != nil || !ok {
				return fmt.Sprint(ok, err)
			}
			return string(o.Raw())
		}
		sink.set(func(ctx context.Context, batch []bridge.Event) error {
			for _, e := range batch {
				answers["before "+fmt.Sprint(e.Seq)] = tell(e.Before(ctx))
				if e.Seq == 11 {
					for _, ref := range []string{"green", "red", "both", "gone", "foreign", "none"} {
						answers[ref] = tell(e.Resolve(ctx, "indicator--"+ref))
					}
				}
			}
			return nil
		})
		cfg := w.config(sink)
		cfg.Gate = w.gates(bridge.ConsumerConfig{Producers: []string{"p", "q"}, MaxTLP: "green"}, bridge.Traits{}, gate.Options{})
		r := w.start(cfg)
		r.drain()
		for what, want := range map[string]string{
			"before 10": "false <nil>",
			"before 11": `{"type":"indicator","id":"indicator--a","v":1}`,
			"before 12": "false <nil>", // it was red
			"green":     `{"type":"indicator","id":"indicator--green","v":1}`,
			"red":       "false <nil>",
			"both":      `{"type":"indicator","id":"indicator--both","v":2}`, // of the event's own producer
			"gone":      "false <nil>",
			"foreign":   "false <nil>",
			"none":      "false <nil>",
		} {
			if answers[what] != want {
				t.Errorf("%s: got %s, want %s", what, answers[what], want)
			}
		}
		if o, ok, _ := r.Lookup(t.Context(), "indicator--both", ""); !ok || !strings.Contains(string(o.Raw()), `"v":3`) {
			t.Errorf("the newest: %s", o.Raw())
		}
		if _, ok, _ := r.Lookup(t.Context(), "indicator--green", "q"); ok {
			t.Error("q never asserted it")
		}
	})
}

func TestTheCurrentVersionIsTheOneThatTheTargetIsToHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		sink := &starter{}
		for _, e := range []bridge.Event{
			{Producer: "p", Object: obj("both", 70)}, {Producer: "q", Object: obj("both", 80)}, {Producer: "q", Object: obj("both", 10)},
			{Producer: "p", Object: obj("none", 10)}, {Producer: "q", Object: obj("none", 20)},
			{Producer: "p", Object: obj("gone", 70)}, {Producer: "p", Object: obj("gone", 70), Op: bridge.Delete},
			{Producer: "p", Object: obj("red", 70)}, {Producer: "p", Object: obj("red", 71), TLP: stix.Red},
			{Producer: "x", Object: obj("foreign", 99)},
		} {
			w.put(e)
		}
		cfg := w.config(sink)
		cfg.Gate = w.gates(bridge.ConsumerConfig{Producers: []string{"p", "q"}, MaxTLP: "green", Where: "v >= 70"}, bridge.Traits{State: true}, gate.Options{Where: high})
		r := w.start(cfg)
		r.drain()
		for _, c := range []struct{ id, producer, want string }{
			{"both", "q", `p@1 create {"type":"indicator","id":"indicator--both","v":70}`}, // q's newer one does not pass
			{"none", "p", `p@4 create {"type":"indicator","id":"indicator--none","v":10}`},
			{"none", "", `q@5 create {"type":"indicator","id":"indicator--none","v":20}`},
			{"gone", "p", `p@7 delete {"type":"indicator","id":"indicator--gone","v":70}`},
			{"red", "p", `p@9 retract {"type":"indicator","id":"indicator--red"}`},
			{"foreign", "x", "unknown"},
			{"never", "p", "unknown"},
		} {
			got := "unknown"
			if e, ok, err := sink.env.Current(t.Context(), "indicator--"+c.id, c.producer); err != nil {
				t.Error(err)
			} else if ok {
				got = fmt.Sprintf("%s@%d %s %s", e.Producer, e.Seq, e.Op, e.Object.Raw())
			}
			if got != c.want {
				t.Errorf("%s as %q says it: got %s, want %s", c.id, c.producer, got, c.want)
			}
		}
		if err := sink.env.Settle(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// starter is a target that must be started, and refuses that at first.
type starter struct {
	target
	answers []error
	env     bridge.Env
}

func (s *starter) Start(_ context.Context, env bridge.Env) error {
	s.env = env
	if len(s.answers) == 0 {
		return nil
	}
	err := s.answers[0]
	s.answers = s.answers[1:]
	return err
}

func TestNothingIsDeliveredBeforeTheTargetIsStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		sink := &starter{answers: []error{errors.New("no route"), bridge.RetryAfter(errors.New("busy"), time.Hour), bridge.Paused(errors.New("401"))}}
		w.put(bridge.Event{Object: obj("a", 1)})
		r := w.start(w.config(sink))
		synctest.Wait()
		if s := r.Status(1); s.Health != bridge.Starting || s.Error != "no route" {
			t.Errorf("%q %q", s.Health, s.Error)
		}
		time.Sleep(time.Hour + 400*time.Millisecond)
		synctest.Wait()
		if s := r.Status(1); s.Health != bridge.Refused || s.Error != "401" || sink.count() != 0 {
			t.Errorf("%q %q, %d calls", s.Health, s.Error, sink.count())
		}
		r.drain()
		if sink.count() != 1 {
			t.Errorf("%d calls", sink.count())
		}
		if err := sink.env.DeadLetter(t.Context(), bridge.Event{Seq: 1, Op: bridge.Create, Object: obj("a", 1)}, "rejected"); err != nil || w.letters["1 create"].Reason != ReasonTarget {
			t.Errorf("%v, letters %v", err, w.letters)
		}
	})
}

// prober says that all is well, whatever it says to deliveries.
type prober struct {
	target
	probes int
	refuse bool
}

func (p *prober) Probe(context.Context) error {
	p.probes++
	if p.refuse {
		return bridge.Paused(errors.New("403 on probe"))
	}
	return nil
}

func TestAProbeThatLiesIsNotBelievedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &prober{}
		sink.set(func(context.Context, []bridge.Event) error { return bridge.Paused(errors.New("403")) })
		w.put(bridge.Event{Object: obj("a", 1)})
		r := w.start(w.config(sink))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if sink.count() > 40 || sink.count() < 15 {
			t.Errorf("%d calls in ten minutes", sink.count())
		}
		sink.set(nil)
		r.drain()
		if len(sink.got) != 1 || len(w.letters) != 0 {
			t.Errorf("%d arrived", len(sink.got))
		}
	})
}

func TestWhileRefusedOnlyTheProbeGoesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &prober{refuse: true}
		sink.set(func(context.Context, []bridge.Event) error { return bridge.Paused(errors.New("403")) })
		for i := range 100 {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
		}
		cfg := w.config(sink)
		cfg.Concurrency = 8
		r := w.start(cfg)
		time.Sleep(time.Hour)
		synctest.Wait()
		if sink.count() > 8 || sink.probes < 100 {
			t.Errorf("%d calls and %d probes in an hour", sink.count(), sink.probes)
		}
		if s := r.Status(100); s.Error != "403 on probe" || s.Health != bridge.Refused {
			t.Errorf("%q %q", s.Health, s.Error)
		}
		r.end()
	})
}

func TestTheWindowIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		big := `"x":"` + strings.Repeat("x", 1<<20) + `"`
		for i := range 100 {
			w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1, big)})
		}
		r := w.start(w.config(sink))
		r.Pause()
		rest()
		if f := r.Figures(); f.Bytes > 34<<20 || f.Window < 31 || f.Window > 33 {
			t.Errorf("%d events of %d bytes", f.Window, f.Bytes)
		}
		r.Resume()
		r.drain()
		if len(sink.got) != 100 || sink.biggest > 4 {
			t.Errorf("%d arrived, at most %d at a time", len(sink.got), sink.biggest)
		}
	})
}

func TestOneObjectThatPilesUpDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		sick := true
		sink.set(func(_ context.Context, batch []bridge.Event) error {
			for _, e := range batch {
				if e.Object.ID() == "indicator--hot" && sick {
					return errors.New("500")
				}
			}
			return nil
		})
		for i := range 3000 {
			w.put(bridge.Event{Object: obj("hot", i)})
			if i%10 == 0 {
				w.put(bridge.Event{Object: obj(fmt.Sprint(i), 1)})
			}
		}
		cfg := w.config(sink)
		cfg.Window = bridge.Limits{Events: 400}
		r := w.start(cfg)
		rest()
		others := 0
		for _, e := range sink.got {
			if e.Object.ID() != "indicator--hot" {
				others++
			}
		}
		if others != 300 {
			t.Errorf("%d others arrived", others)
		}
		if f := r.Figures(); f.Window > 10 || f.Ahead < 3000 || f.Ahead > 3200 {
			t.Errorf("%d events in memory, %d ahead", f.Window, f.Ahead)
		}
		sick = false
		r.drain()
		if len(sink.got) != 3300 {
			t.Errorf("%d arrived", len(sink.got))
		}
		ordered(t, sink.got)
	})
}

func TestOperatorPauseDuringAnOutageIsWhatStatusSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		sink.set(func(context.Context, []bridge.Event) error { return errors.New("down") })
		w.put(bridge.Event{Object: obj("a", 1)})
		r := w.start(w.config(sink))
		rest()
		r.Pause()
		if s := r.Status(1); s.Health != bridge.Stopped || s.Error != "down" {
			t.Errorf("%q %q", s.Health, s.Error)
		}
		r.end()
		if s := r.Status(1); s.Health != bridge.Offline {
			t.Errorf("after the end: %q", s.Health)
		}
	})
}
