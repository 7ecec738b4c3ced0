package delivery

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
	"github.com/stixbridge/stixbridge/stix"
)

// among weighs a decision on one producer's event against what other producers assert about the same object.
func (d *decider) among(ctx context.Context, e bridge.Event, own decision) (decision, error) {
	retracts := own.event.Retracts()
	if !retracts && len(d.r.cfg.Prefer) == 0 {
		return own, nil // the newest version wins
	}
	all, err := d.assertions(ctx, e.Object.Type(), e.Object.ID(), e.Producer)
	if err != nil {
		return decision{}, err
	}
	all = slices.DeleteFunc(all, func(a Assertion) bool { return a.Producer == e.Producer || !d.passes(a) })
	if len(all) == 0 {
		return own, nil
	}
	best := d.best(all)
	switch {
	case d.rank(best.Producer) < d.rank(e.Producer):
		return outweighed(gate.Prefer), nil // the target holds that one's version, or gets it later in the log
	case !retracts:
		return own, nil
	case best.Seq > e.Seq:
		return outweighed(gate.Superseded), nil // the event that brings it is still to come
	}
	other := best.event(bridge.Update)
	other.Seq, other.Time, other.ID = e.Seq, e.Time, e.ID
	other.Context.Cause, other.Context.CauseID = e.Seq, e.ID
	return deliver(other), nil
}

// event is the assertion as an event of its own.
func (a Assertion) event(op bridge.Op) bridge.Event {
	return bridge.Event{Seq: a.Seq, Time: a.Time, ID: a.EventID, Producer: a.Producer, TLP: a.TLP, Op: op, Object: a.Object, Context: a.Context}
}

func (d *decider) view(a Assertion) gate.View {
	return gate.View{Producer: a.Producer, TLP: a.TLP, Op: a.Op, Object: a.Object, Time: a.Time}
}

// passes reports whether the target may hold what a producer asserts now.
func (d *decider) passes(a Assertion) bool { return a.Asserted() && d.gate.Object(d.view(a)).Pass }

// best is the assertion of the most preferred producer, of equals the newest.
func (d *decider) best(all []Assertion) Assertion {
	return slices.MinFunc(all, func(a, b Assertion) int {
		return cmp.Or(cmp.Compare(d.rank(a.Producer), d.rank(b.Producer)), cmp.Compare(b.Seq, a.Seq))
	})
}

func (d *decider) rank(producer string) int {
	if i := slices.Index(d.r.cfg.Prefer, producer); i >= 0 {
		return i
	}
	return len(d.r.cfg.Prefer)
}

// assertions returns what the producers that can pass say about an id, with everything in it that this runner has read.
func (d *decider) assertions(ctx context.Context, typ, id, except string) ([]Assertion, error) {
	if err := d.settle(ctx, except); err != nil {
		return nil, err
	}
	all, err := d.r.cfg.Latest.Of(ctx, typ, id)
	return slices.DeleteFunc(all, func(a Assertion) bool { return !d.gate.Producer(a.Producer) }), err
}

// settle waits until latest includes what was read from every producer but one.
func (d *decider) settle(ctx context.Context, except string) error {
	type source struct {
		producer string
		seq      uint64
	}
	var need []source
	d.r.mu.Lock()
	for p, seq := range d.r.sources {
		if p != except && d.gate.Producer(p) {
			need = append(need, source{p, seq})
		}
	}
	d.r.mu.Unlock()
	for _, s := range need {
		d.mu.Lock()
		done := d.settled[s.producer] >= s.seq
		d.mu.Unlock()
		if done {
			continue
		}
		if err := d.r.cfg.Latest.Settle(ctx, s.producer, s.seq); err != nil {
			return err
		}
		d.mu.Lock()
		d.settled[s.producer] = max(d.settled[s.producer], s.seq)
		d.mu.Unlock()
	}
	return nil
}

// Before is the house's answer to Event.Before.
func (d *decider) Before(ctx context.Context, e bridge.Event) (stix.Object, bool, error) {
	if e.Context.Prev == 0 {
		return stix.Object{}, false, nil
	}
	before, ok, err := d.r.cfg.Log.Get(ctx, e.Context.Prev)
	if err != nil || !ok || (before.Retracts() && !before.Context.Next) {
		return stix.Object{}, false, err
	}
	v := gate.Of(before)
	v.Producer = e.Producer
	if !d.gate.Leave(v) { // what the target must not see does not reach it this way either
		return stix.Object{}, false, nil
	}
	return before.Object, true, nil
}

// Resolve is the house's answer to Event.Resolve.
func (d *decider) Resolve(ctx context.Context, e bridge.Event, ref string) (stix.Object, bool, error) {
	return d.lookup(ctx, ref, e.Producer, false)
}

// Lookup returns what a producer last asserted about an id, within the consumer's ceiling; the empty producer means the preferred one.
func (r *Runner) Lookup(ctx context.Context, id, producer string) (stix.Object, bool, error) {
	return r.decide.lookup(ctx, id, producer, producer != "")
}

func (d *decider) lookup(ctx context.Context, id, producer string, only bool) (stix.Object, bool, error) {
	typ, _, ok := strings.Cut(id, "--")
	if !ok || d.r.cfg.Latest == nil {
		return stix.Object{}, false, nil
	}
	all, err := d.r.cfg.Latest.Of(ctx, typ, id)
	if err != nil {
		return stix.Object{}, false, err
	}
	all = slices.DeleteFunc(all, func(a Assertion) bool { return !a.Asserted() || !d.gate.Leave(d.view(a)) })
	if i := slices.IndexFunc(all, func(a Assertion) bool { return a.Producer == producer }); i >= 0 {
		return all[i].Object, true, nil
	}
	if len(all) == 0 || only {
		return stix.Object{}, false, nil
	}
	return d.best(all).Object, true, nil
}

// current is the answer to Env.Current.
func (d *decider) current(ctx context.Context, id, producer string) (bridge.Event, bool, error) {
	typ, _, ok := strings.Cut(id, "--")
	if !ok || d.r.cfg.Latest == nil {
		return bridge.Event{}, false, nil
	}
	all, err := d.r.cfg.Latest.Of(ctx, typ, id)
	if err != nil {
		return bridge.Event{}, false, err
	}
	all = slices.DeleteFunc(all, func(a Assertion) bool { return !d.gate.Producer(a.Producer) })
	if len(all) == 0 {
		return bridge.Event{}, false, nil
	}
	passing := slices.Clone(all)
	if passing = slices.DeleteFunc(passing, func(a Assertion) bool { return !d.passes(a) }); len(passing) > 0 {
		best := d.best(passing)
		return best.event(best.Op), true, nil
	}
	last := slices.MaxFunc(all, func(a, b Assertion) int { return cmp.Compare(a.Seq, b.Seq) })
	seen := slices.DeleteFunc(all, func(a Assertion) bool { return !a.Asserted() || !d.gate.Leave(d.view(a)) })
	if i := slices.IndexFunc(seen, func(a Assertion) bool { return a.Producer == producer }); i >= 0 {
		return seen[i].event(seen[i].Op), true, nil
	}
	if len(seen) > 0 {
		best := d.best(seen)
		return best.event(best.Op), true, nil
	}
	gone := last.event(last.Op)
	if last.Asserted() { // above the ceiling: nothing of it may show
		gone = bridge.Event{Seq: last.Seq, Time: last.Time, ID: last.EventID, Producer: last.Producer, Op: bridge.Retract,
			Object: stix.Stub(typ, id), Context: bridge.Context{Reason: "reclassified"}}
	} else if !d.gate.Leave(d.view(last)) {
		gone.Object = stix.Stub(typ, id)
	}
	return gone, true, nil
}
