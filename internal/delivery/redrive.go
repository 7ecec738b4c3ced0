package delivery

import (
	"context"
	"fmt"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
)

// How a redrive ended.
const (
	Delivered  = "delivered"
	Superseded = "superseded" // a newer version of the object overtook the letter: it is to be dropped
	HeldBack   = "held"       // the gates of today do not let it pass: it is to be dropped
	Failed     = "failed"     // it failed again: the letter stays
)

// Redriven says how a redrive ended.
type Redriven struct {
	Outcome string
	Gate    string // of held
	Err     error  // of failed: the target's answer
}

// Redrive delivers a dead letter's event again, in the lane of its object and with the gates of today, and blocks until it is known
// how that ended. Whoever calls it removes the letter unless it failed. When ctx ends it returns an error, and the delivery may still happen.
func (r *Runner) Redrive(ctx context.Context, l Letter) (Redriven, error) {
	if l.Event.Object.IsZero() {
		return Redriven{}, fmt.Errorf("consumer %s: the letter of event %d holds no object", r.cfg.Name, l.Event.Seq)
	}
	out := make(chan ending, 1)
	a := &aside{
		letter: true,
		decide: func(ctx context.Context) (decision, error) { return r.decide.redrive(ctx, l.Event) },
		done:   func(e ending) { out <- e },
	}
	if err := r.inject(ctx, l.Event.Object.ID(), l.Event, a); err != nil {
		return Redriven{}, err
	}
	select {
	case <-ctx.Done():
		return Redriven{}, context.Cause(ctx)
	case <-r.ended:
		return Redriven{}, errEnding
	case e := <-out:
		switch {
		case e.outcome == arrived:
			return Redriven{Outcome: Delivered}, nil
		case e.outcome == failed:
			return Redriven{Outcome: Failed, Err: e.err}, nil
		case e.gate == gate.Superseded || e.gate == gate.Prefer:
			return Redriven{Outcome: Superseded}, nil
		}
		return Redriven{Outcome: HeldBack, Gate: e.gate}, nil
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
