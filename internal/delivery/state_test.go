package delivery

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
)

func TestAStateSinkHearsOfAnObjectUntilNobodyAssertsIt(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  bridge.ConsumerConfig
		put  func(w *world)
		want string
		held map[string]uint64
	}{
		{"one of two deletes: the other's version stands", bridge.ConsumerConfig{}, func(w *world) {
			w.put(bridge.Event{Producer: "p", Object: obj("a", 1)})
			w.put(bridge.Event{Producer: "q", Object: obj("a", 2)})
			w.put(bridge.Event{Producer: "q", Object: obj("a", 2), Op: bridge.Delete})
			w.put(bridge.Event{Producer: "p", Object: obj("a", 1), Op: bridge.Delete})
		}, "create a1@1, create a2@2, update a1@3, delete a1@4", nil},
		{"the newest version wins", bridge.ConsumerConfig{}, func(w *world) {
			w.put(bridge.Event{Producer: "q", Object: obj("a", 2)})
			w.put(bridge.Event{Producer: "p", Object: obj("a", 1)})
		}, "create a2@1, create a1@2", nil},
		{"prefer decides whose version it gets", bridge.ConsumerConfig{Prefer: []string{"p"}}, func(w *world) {
			w.put(bridge.Event{Producer: "p", Object: obj("a", 1)})
			w.put(bridge.Event{Producer: "q", Object: obj("a", 2)})
			w.put(bridge.Event{Producer: "q", Object: obj("a", 3)})
			w.put(bridge.Event{Producer: "q", Object: obj("a", 3), Op: bridge.Delete})
		}, "create a1@1", map[string]uint64{gate.Prefer: 3}},
		{"the preferred one deletes: the other's version comes", bridge.ConsumerConfig{Prefer: []string{"p"}}, func(w *world) {
			w.put(bridge.Event{Producer: "q", Object: obj("a", 2)})
			w.put(bridge.Event{Producer: "p", Object: obj("a", 1)})
			w.put(bridge.Event{Producer: "p", Object: obj("a", 1), Op: bridge.Delete})
		}, "create a2@1, create a1@2, update a2@3", nil},
		{"what does not pass asserts nothing here", bridge.ConsumerConfig{Where: "v >= 70"}, func(w *world) {
			w.put(bridge.Event{Producer: "q", Object: obj("a", 60)})
			w.put(bridge.Event{Producer: "p", Object: obj("a", 80)})
			w.put(bridge.Event{Producer: "p", Object: obj("a", 50)})
		}, "create a80@2, retract a80@3", map[string]uint64{gate.Where: 1}},
		{"a producer that may not come here asserts nothing here", bridge.ConsumerConfig{Producers: []string{"p", "r"}}, func(w *world) {
			w.put(bridge.Event{Producer: "q", Object: obj("a", 2)})
			w.put(bridge.Event{Producer: "p", Object: obj("a", 1)})
			w.put(bridge.Event{Producer: "p", Object: obj("a", 1), Op: bridge.Delete})
		}, "create a1@2, delete a1@3", nil},
		{"a delete, and another asserts it later", bridge.ConsumerConfig{}, func(w *world) {
			w.put(bridge.Event{Producer: "p", Object: obj("a", 1)})
			w.put(bridge.Event{Producer: "p", Object: obj("a", 1), Op: bridge.Delete})
			w.put(bridge.Event{Producer: "q", Object: obj("a", 2)})
		}, "create a1@1, delete a1@2, create a2@3", nil},
	} {
		for _, lag := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, lag %d", c.name, lag), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, sink := newWorld(t), &target{}
					w.lag = lag
					r := w.start(w.stateSink(sink, c.cfg))
					w.pace = 2 * time.Second // the consumer keeps up
					c.put(w)
					r.drain()
					if diff := cmp.Diff(c.want, sink.story()); diff != "" {
						t.Errorf("arrived (-want +got):\n%s", diff)
					}
					if diff := cmp.Diff(c.held, r.Status(0).Held); diff != "" {
						t.Errorf("held back (-want +got):\n%s", diff)
					}
					ordered(t, sink.got)
					inStep := sink.holds()

					w, sink = newWorld(t), &target{} // all of it at once: the projection is ahead of the reader
					c.put(w)
					w.start(w.stateSink(sink, c.cfg)).drain()
					if diff := cmp.Diff(inStep, sink.holds()); diff != "" {
						t.Errorf("ends with something else when it reads all at once (-in step +at once):\n%s", diff)
					}
					ordered(t, sink.got)
				})
			})
		}
	}
}

// stateSink is the configuration of a state sink.
func (w *world) stateSink(sink bridge.Sink, c bridge.ConsumerConfig) Config {
	cfg, opt := w.config(sink), gate.Options{}
	if c.Where != "" {
		opt.Where = high
	}
	cfg.Traits = bridge.Traits{State: true}
	cfg.Gate, cfg.Prefer = w.gates(c, cfg.Traits, opt), c.Prefer
	return cfg
}
