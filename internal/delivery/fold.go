package delivery

import (
	"context"
	"slices"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
	"github.com/stixbridge/stixbridge/stix"
)

// fold is the question what a target is to hold of an object now.
type fold struct {
	typ, id string
	seq     uint64 // an event about it
	passed  bool   // whose object passed the gates, so that the target may hold it
	again   bool   // it was asked before, for an event whose object had not passed
}

// fold answers with the current version that passes, or with a retract.
func (d *decider) fold(ctx context.Context, f fold) (decision, error) {
	all, err := d.assertions(ctx, f.typ, f.id, "")
	if err != nil {
		return decision{}, err
	}
	state := f.seq
	for _, a := range all {
		state = max(state, a.Seq)
	}
	pass := slices.DeleteFunc(slices.Clone(all), func(a Assertion) bool { return !d.passes(a) })
	var out decision
	switch {
	case len(pass) > 0 && f.again:
		out = held(gate.Superseded)
	case len(pass) > 0:
		e := d.best(pass).event(bridge.Update)
		e.Seq = state // the newest that happened to the object: no target that compares takes it for older than what it holds
		out = deliver(e)
	case !f.passed:
		out = held(gate.Superseded)
	default:
		e, err := d.gone(ctx, f, all)
		if err != nil {
			return decision{}, err
		}
		e.Seq = state
		out = deliver(e)
	}
	out.state = state
	return out, nil
}

// gone is the retract of an object of which nothing passes any more. Its body is the version of the span, unless what is known
// today forbids to show it.
func (d *decider) gone(ctx context.Context, f fold, all []Assertion) (bridge.Event, error) {
	e, ok, err := d.r.cfg.Log.Get(ctx, f.seq)
	if err != nil {
		return e, err
	}
	if !ok {
		e = bridge.Event{Object: stix.Stub(f.typ, f.id), TLP: stix.Clear}
		for _, a := range all {
			e.Producer, e.Time, e.ID = a.Producer, a.Time, a.EventID
		}
	}
	for _, a := range all {
		if a.Producer == e.Producer && !d.gate.Leave(d.view(a)) {
			e.Object, e.TLP = stix.Stub(f.typ, f.id), stix.Clear
		}
	}
	e.Op = bridge.Retract
	e.Context = bridge.Context{Reason: "gate", Cause: f.seq, CauseID: e.ID}
	return e, nil
}

// exact decides on one event of the past as it was then, but for the TLP of today.
func (d *decider) exact(ctx context.Context, seq uint64) (decision, error) {
	e, ok, err := d.r.cfg.Log.Get(ctx, seq)
	if err != nil {
		return decision{}, err
	}
	if !ok {
		return held(gateLost), nil
	}
	out, err := d.own(ctx, e)
	if err != nil || !out.deliver {
		return out, err
	}
	all, err := d.assertions(ctx, e.Object.Type(), e.Object.ID(), "")
	if err != nil {
		return decision{}, err
	}
	for _, a := range all {
		if a.Producer != e.Producer || d.gate.Leave(d.view(a)) {
			continue
		}
		if !out.event.Retracts() {
			return held(gate.MaxTLP), nil
		}
		out.event.Object, out.event.TLP = stix.Stub(e.Object.Type(), e.Object.ID()), stix.Clear
	}
	return out, nil
}
