package delivery

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
	"github.com/stixbridge/stixbridge/stix"
)

func TestRedrive(t *testing.T) {
	for _, c := range []struct {
		name  string
		state bool
		then  func(w *world)
		still bool // the target still refuses it
		want  string
		fails string
		story string
	}{
		{name: "it arrives", want: Delivered, story: "create a80@1"},
		{name: "a newer version overtook it", then: func(w *world) { w.put(bridge.Event{Object: obj("a", 90)}) },
			want: Superseded, story: "update a90@2"},
		{name: "the target refuses it again", still: true, fails: "consumer c: the target refused it again: 422"},
		{name: "at a mirror of state another producer's version is the one to hold", state: true,
			then: func(w *world) { w.put(bridge.Event{Producer: "q", Object: obj("a", 90)}) },
			want: Delivered, story: "create a90@2, update a90@2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sink := newWorld(t), &target{}
				refuse := func(context.Context, []bridge.Event) error { return bridge.Permanent(errors.New("422")) }
				sink.set(refuse)
				w.put(bridge.Event{Object: obj("a", 80)})
				cfg := w.config(sink)
				if c.state {
					cfg = w.stateSink(sink, bridge.ConsumerConfig{})
				}
				r := w.start(cfg)
				rest()
				if !c.still {
					sink.set(nil)
				}
				if c.then != nil {
					c.then(w)
					rest()
				}
				letter := w.letters["1 create"]
				got, err := r.Redrive(t.Context(), letter.Event)
				if c.fails != "" && (err == nil || err.Error() != c.fails) || c.fails == "" && err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(c.story, sink.story()); diff != "" {
					t.Error(diff)
				}
				if len(w.letters) != 1 {
					t.Errorf("%d letters", len(w.letters))
				}
				r.end()
			})
		})
	}
}

func TestARedriveObeysTheGatesOfToday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		cfg := w.config(sink)
		cfg.Gate = w.gates(bridge.ConsumerConfig{MaxTLP: "green"}, bridge.Traits{}, gate.Options{})
		r := w.start(cfg)
		got, err := r.Redrive(t.Context(), bridge.Event{Op: bridge.Update, Object: obj("a", 1), TLP: stix.Red})
		if err == nil || !strings.Contains(err.Error(), "the gate max_tlp holds it back today") {
			t.Errorf("%+v, %v", got, err)
		}
		r.end()
	})
}
