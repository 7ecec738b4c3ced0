package delivery

import (
	"context"
	"fmt"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
)

// How a redrive ended well: the letter can go.
const (
	Delivered  = "delivered"
	Superseded = "superseded" // a newer version of the object overtook the letter
)

// Redrive delivers a dead letter's event again, in the lane of its object and with the gates of today, and blocks until it is known
// how that ended. An error says why the letter is to stay: the target's answer, or the gate that holds it back now. When ctx ends
// the delivery may still happen.
func (r *Runner) Redrive(ctx context.Context, e bridge.Event) (outcome string, err error) {
	if e.Object.IsZero() {
		return "", fmt.Errorf("consumer %s: the letter of event %d holds no object", r.cfg.Name, e.Seq)
	}
	out := make(chan ending, 1)
	a := &aside{
		letter: true,
		decide: func(ctx context.Context) (decision, error) { return r.decide.redrive(ctx, e) },
		done:   func(e ending) { out <- e },
	}
	if err := r.inject(ctx, e.Object.ID(), e, a); err != nil {
		return "", err
	}
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-r.ended:
		return "", errEnding
	case end := <-out:
		switch {
		case end.outcome == arrived:
			return Delivered, nil
		case end.outcome == failed:
			return "", r.wrap("the target refused it again", end.err)
		case end.gate == gate.Superseded || end.gate == gate.Prefer:
			return Superseded, nil
		}
		return "", fmt.Errorf("consumer %s: the gate %s holds it back today: %s", r.cfg.Name, end.gate, r.gate.Remedy(end.gate))
	}
}

// redrive decides on the event of a letter.
func (d *decider) redrive(ctx context.Context, e bridge.Event) (decision, error) {
	v := d.gate.Object(gate.Of(e))
	if d.r.cfg.Latest != nil {
		all, err := d.assertions(ctx, e.Object.Type(), e.Object.ID(), "")
		if err != nil {
			return decision{}, err
		}
		for _, a := range all {
			if a.Producer == e.Producer && a.Seq > e.Seq {
				return held(gate.Superseded), nil
			}
		}
		if d.several {
			return d.fold(ctx, fold{typ: e.Object.Type(), id: e.Object.ID(), seq: e.Seq, passed: v.Pass || e.Op == bridge.Retract})
		}
	}
	if !v.Pass && e.Op != bridge.Retract {
		return held(v.Gate), nil
	}
	out := deliver(e)
	out.state = e.Seq
	return out, nil
}
