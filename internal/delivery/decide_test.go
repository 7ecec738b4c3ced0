package delivery

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
	"github.com/stixbridge/stixbridge/stix"
)

// high passes objects whose v is 70 or more.
func high(v gate.View) (pass, missing bool, err error) {
	raw, ok := v.Object.Get("v")
	n, _ := strconv.Atoi(string(raw))
	return n >= 70, !ok, nil
}

// play runs a consumer over a log and returns what arrived, and what was held back.
func play(t *testing.T, c bridge.ConsumerConfig, traits bridge.Traits, put func(w *world)) (string, map[string]uint64) {
	t.Helper()
	w, sink := newWorld(t), &target{}
	put(w)
	cfg := w.config(sink)
	opt := gate.Options{}
	if c.Where != "" {
		opt.Where = high
	}
	if c.Start != "" {
		cfg.Start = c.Start
	}
	cfg.Gate, cfg.Traits, cfg.Prefer = w.gates(c, traits, opt), traits, c.Prefer
	r := w.start(cfg)
	r.drain()
	return sink.story(), r.Status(0).Held
}

func TestWhatNoLongerPassesIsTakenBack(t *testing.T) {
	where := bridge.ConsumerConfig{Where: "v >= 70"}
	green := bridge.ConsumerConfig{MaxTLP: "green"}
	upd := func(w *world, name string, v int, more ...func(*bridge.Event)) {
		e := bridge.Event{Object: obj(name, v)}
		for _, f := range more {
			f(&e)
		}
		w.put(e)
	}
	tlp := func(l stix.TLP) func(*bridge.Event) { return func(e *bridge.Event) { e.TLP = l } }
	op := func(o bridge.Op) func(*bridge.Event) { return func(e *bridge.Event) { e.Op = o } }
	from := func(p string) func(*bridge.Event) { return func(e *bridge.Event) { e.Producer = p } }
	next := func(e *bridge.Event) { e.Context.Next, e.Context.Reason = true, "reclassified" }
	no := false
	for _, c := range []struct {
		name string
		cfg  bridge.ConsumerConfig
		put  func(w *world)
		want string
		held map[string]uint64
	}{
		{"a score that falls", where, func(w *world) { upd(w, "a", 80); upd(w, "a", 60) },
			"create a80@1, retract a80@2", nil},
		{"one that never passed is held back", where, func(w *world) { upd(w, "a", 50); upd(w, "a", 60); upd(w, "a", 61) },
			"", map[string]uint64{gate.Where: 3}},
		{"once taken back, it is not taken back again", where, func(w *world) { upd(w, "a", 80); upd(w, "a", 60); upd(w, "a", 50) },
			"create a80@1, retract a80@2", map[string]uint64{gate.Where: 1}},
		{"a score that falls and rises", where, func(w *world) { upd(w, "a", 80); upd(w, "a", 60); upd(w, "a", 90) },
			"create a80@1, retract a80@2, update a90@3", nil},
		{"the version before from the same producer counts", where, func(w *world) { upd(w, "a", 80); upd(w, "a", 60, from("q")) },
			"create a80@1", map[string]uint64{gate.Where: 1}},
		{"a version before that is gone from the log", where, func(w *world) {
			upd(w, "a", 80)
			upd(w, "a", 60)
			w.gone[1] = true
		}, "retract a@2", nil},
		{"a delete of what passed", where, func(w *world) { upd(w, "a", 80); upd(w, "a", 80, op(bridge.Delete)) },
			"create a80@1, delete a80@2", nil},
		{"a delete of what never passed", where, func(w *world) { upd(w, "a", 50); upd(w, "a", 50, op(bridge.Delete)) },
			"", map[string]uint64{gate.Where: 2}},
		{"after a delete nothing is left to take back", where, func(w *world) { upd(w, "a", 80); upd(w, "a", 80, op(bridge.Delete)); upd(w, "a", 60) },
			"create a80@1, delete a80@2", map[string]uint64{gate.Where: 1}},
		{"a TLP that rises above the ceiling: the retract on the old subject does it", green, func(w *world) {
			upd(w, "a", 1)
			upd(w, "a", 1, op(bridge.Retract), next)
			upd(w, "a", 2, tlp(stix.Red))
		}, "create a1@1, retract a1@2", map[string]uint64{gate.MaxTLP: 1}},
		{"a TLP that rises within the ceiling", bridge.ConsumerConfig{}, func(w *world) {
			upd(w, "a", 1)
			upd(w, "a", 1, op(bridge.Retract), next)
			upd(w, "a", 2, tlp(stix.Red))
		}, "create a1@1, update a2@3", map[string]uint64{gate.Superseded: 1}},
		{"a TLP that rises without a retract before", green, func(w *world) { upd(w, "a", 1); upd(w, "a", 2, tlp(stix.Amber)) },
			"create a1@1, retract a1@2", nil},
		{"a retract whose new version is gone", bridge.ConsumerConfig{}, func(w *world) {
			upd(w, "a", 1)
			upd(w, "a", 1, op(bridge.Retract), next)
			upd(w, "a", 2)
			w.gone[3] = true
			upd(w, "b", 1)
		}, "create a1@1, create b1@4, retract a1@2", nil},
		{"a retract of what left the source's filter", green, func(w *world) { upd(w, "a", 1); upd(w, "a", 1, op(bridge.Retract)) },
			"create a1@1, retract a1@2", nil},
		{"a retract of what this target may not hold", green, func(w *world) {
			upd(w, "a", 1, tlp(stix.Red))
			upd(w, "a", 1, tlp(stix.Red), op(bridge.Retract))
		}, "", map[string]uint64{gate.MaxTLP: 2}},
		{"new: what came before the start was never delivered", bridge.ConsumerConfig{Where: "v >= 70", Start: StartNew}, func(w *world) {
			upd(w, "a", 80)
			upd(w, "b", 80)
		}, "", nil},
		{"operations: a retract passes all the same", bridge.ConsumerConfig{Where: "v >= 70", Ops: []bridge.Op{bridge.Create}}, func(w *world) {
			upd(w, "a", 80)
			upd(w, "a", 90)
			upd(w, "a", 60)
		}, "create a80@1, retract a90@3", map[string]uint64{gate.Ops: 1}},
		{"changed: what was not touched is held back", bridge.ConsumerConfig{Changed: []string{"v"}}, func(w *world) {
			upd(w, "a", 1)
			upd(w, "a", 1)
			upd(w, "a", 2)
		}, "create a1@1, update a2@3", map[string]uint64{gate.Changed: 1}},
		{"changed: passing for the first time is news", bridge.ConsumerConfig{Where: "v >= 70", Changed: []string{"name"}}, func(w *world) {
			upd(w, "a", 60)
			upd(w, "a", 80)
			upd(w, "a", 90)
		}, "update a80@2", map[string]uint64{gate.Where: 1, gate.Changed: 1}},
		{"backfill that was never delivered is not taken back", bridge.ConsumerConfig{Where: "v >= 70", Backfill: &no}, func(w *world) {
			upd(w, "a", 80, func(e *bridge.Event) { e.Context.Backfill = true })
			upd(w, "a", 60)
		}, "", map[string]uint64{gate.Backfill: 1, gate.Where: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				story, holds := play(t, c.cfg, bridge.Traits{}, c.put)
				if diff := cmp.Diff(c.want, story); diff != "" {
					t.Errorf("arrived (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.held, holds); diff != "" {
					t.Errorf("held back (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestARetractNamesItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		w.put(bridge.Event{Object: obj("a", 1)})
		w.put(bridge.Event{Object: obj("a", 2), TLP: stix.Red})
		cfg := w.config(sink)
		cfg.Gate = w.gates(bridge.ConsumerConfig{MaxTLP: "green"}, bridge.Traits{}, gate.Options{})
		w.start(cfg).drain()
		got := sink.got[1]
		want := bridge.Context{Reason: "reclassified", Cause: 2, CauseID: "e2", Prev: 1}
		if diff := cmp.Diff(want, got.Context); diff != "" || got.TLP != stix.Green || got.Seq != 2 || got.ID != "e2" {
			t.Errorf("tlp %s seq %d id %s context:\n%s", got.TLP, got.Seq, got.ID, diff)
		}
	})
}

func TestNewTakesBackNothingThatItNeverDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		w.put(bridge.Event{Object: obj("a", 80)})
		cfg := w.config(sink)
		cfg.Start, cfg.Gate = StartNew, w.gates(bridge.ConsumerConfig{Where: "v"}, bridge.Traits{}, gate.Options{Where: high})
		r := w.start(cfg)
		w.put(bridge.Event{Object: obj("a", 60)})
		w.put(bridge.Event{Object: obj("b", 80)})
		w.put(bridge.Event{Object: obj("b", 60)})
		r.drain()
		if diff := cmp.Diff("create b80@3, retract b80@4", sink.story()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := func(d time.Duration) string {
			return `"valid_until":"` + time.Now().Add(d).UTC().Format(time.RFC3339Nano) + `"`
		}
		story, holds := play(t, bridge.ConsumerConfig{}, bridge.Traits{}, func(w *world) {
			a, b := obj("a", 1, until(time.Hour)), obj("b", 1, until(-time.Hour))
			w.put(bridge.Event{Object: a})
			w.put(bridge.Event{Object: b}) // over when it came in
			time.Sleep(2 * time.Hour)
			w.put(bridge.Event{Object: a, Op: bridge.Expire})
			w.put(bridge.Event{Object: b, Op: bridge.Delete}) // the target never had it
			w.put(bridge.Event{Object: a})                    // over already
		})
		if diff := cmp.Diff("create a1@1, expire a1@3", story); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]uint64{gate.Expired: 3}, holds); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAReadErrorHoldsTheEventAndIsVisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		broken := true
		w.failGet = func(uint64) error {
			if broken {
				return errors.New("no responders")
			}
			return nil
		}
		w.put(bridge.Event{Object: obj("a", 80)})
		w.put(bridge.Event{Object: obj("a", 60)})
		cfg := w.config(sink)
		cfg.Gate = w.gates(bridge.ConsumerConfig{Where: "v"}, bridge.Traits{}, gate.Options{Where: high})
		r := w.start(cfg)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := r.Status(2); s.Error != "deciding on event 2: no responders" || s.Health != bridge.Retrying {
			t.Errorf("status %q %q", s.Health, s.Error)
		}
		w.mu.Lock()
		broken = false
		w.mu.Unlock()
		r.drain()
		if diff := cmp.Diff("create a80@1, retract a80@2", sink.story()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnExpressionThatFailsIsCountedAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sink := newWorld(t), &target{}
		w.put(bridge.Event{Object: obj("a", 80)})
		cfg := w.config(sink)
		cfg.Gate = w.gates(bridge.ConsumerConfig{Where: "v"}, bridge.Traits{}, gate.Options{Where: func(gate.View) (bool, bool, error) {
			return true, false, errors.New("takes too long")
		}})
		r := w.start(cfg)
		r.drain()
		if f := r.Figures(); f.Broken != 1 || f.BrokenBy != "event 1: takes too long" || len(sink.got) != 0 {
			t.Errorf("%+v, %s", f, sink.story())
		}
	})
}
