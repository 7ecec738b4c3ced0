package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
	"github.com/stixbridge/stixbridge/stix"
)

// decider says for each event what the target is to get: the event, a retract, another producer's version, or nothing.
type decider struct {
	r       *Runner
	gate    *gate.Gate
	phase   Phase // set before the first event
	several bool  // a state sink that more than one producer may reach

	mu      sync.Mutex
	first   uint64 // oldest event of the log, as far as we know
	asked   time.Time
	settled map[string]uint64 // by producer: latest is known to include events up to here
	never   memory            // objects that did not pass, so that their next event need not look
}

func (d *decider) init(r *Runner) {
	d.r, d.gate = r, r.gate
	d.several = r.cfg.Traits.State && r.gate.Several()
	d.settled = map[string]uint64{}
}

// glance decides what the event alone can decide, at intake. It does not block.
func (d *decider) glance(e bridge.Event) glimpse {
	switch e.Op {
	case bridge.Create, bridge.Update, bridge.Delete, bridge.Merge, bridge.Expire, bridge.Retract:
	default:
		return glimpse{held: gate.Ops} // of a later contract
	}
	v := d.gate.Object(gate.Of(e))
	g := glimpse{missing: v.Missing, err: v.Err}
	switch {
	case !v.Pass && !d.gate.Fickle(v) && (gate.Never(v.Gate) || e.Retracts() || !d.mayHold(e)):
		g.held = v.Gate
	case !v.Pass:
		g.undone = true
	case e.Op == bridge.Retract:
		g.undone = e.Context.Next || d.several
	default:
		if !d.gate.NeedsBefore(e) && !d.fresh(e) {
			if v := d.gate.Event(e, nil); !v.Pass {
				g.held = v.Gate
				return g
			}
		}
		g.undone = d.gate.NeedsBefore(e) || d.expired(e) || (d.several && (e.Retracts() || len(d.r.cfg.Prefer) > 0))
	}
	return g
}

// mayHold reports whether the target can have got the version before an event.
func (d *decider) mayHold(e bridge.Event) bool {
	prev := e.Context.Prev
	if prev == 0 || d.never.is(e.Producer, e.Object.ID(), prev) {
		return false
	}
	return prev > d.phase.From || (d.phase.Start != StartNew && d.phase.Start != StartTime)
}

// fresh reports whether the target may not have got the object from the snapshot because it changed while that was served: then
// the event is its first sight of it, and no event check applies.
func (d *decider) fresh(e bridge.Event) bool {
	return d.phase.Start == StartLatest && e.Seq <= d.phase.Until && e.Context.Prev <= d.phase.From && !e.Retracts()
}

// expired reports whether the end of an object may never have mattered because it was over when it came in.
func (d *decider) expired(e bridge.Event) bool {
	if !e.Retracts() || e.Context.Prev == 0 {
		return false
	}
	v := gate.Of(e)
	v.Held = false
	return !d.gate.Object(v).Pass
}

// turn decides when everything before the item in its lane is done.
func (d *decider) turn(ctx context.Context, it *item) (decision, error) {
	if it.aside != nil {
		return it.aside.decide(ctx)
	}
	if !it.light {
		return d.live(ctx, it.event)
	}
	e, ok, err := d.r.cfg.Log.Get(ctx, it.event.Seq)
	switch {
	case err != nil:
		return decision{}, err
	case !ok: // retention or an erasure took it while it waited
		return held(gateLost), nil
	case it.undone:
		return d.live(ctx, e)
	}
	return deliver(e), nil
}

// gateLost stands for an event that the log no longer holds.
const gateLost = "lost"

// live decides on an event of the log.
func (d *decider) live(ctx context.Context, e bridge.Event) (decision, error) {
	own, err := d.own(ctx, e)
	if err != nil || !own.deliver || !d.several {
		return own, err
	}
	return d.among(ctx, e, own)
}

// own decides as if the event's producer were the only one.
func (d *decider) own(ctx context.Context, e bridge.Event) (decision, error) {
	v := d.gate.Object(gate.Of(e))
	if !v.Pass {
		if gate.Never(v.Gate) || e.Retracts() || !d.mayHold(e) {
			return decision{gate: v.Gate, fickle: d.gate.Fickle(v)}, nil
		}
		out, err := d.takeBack(ctx, e, v.Gate)
		out.fickle = d.gate.Fickle(v)
		return out, err
	}
	if e.Op == bridge.Retract {
		if e.Context.Next {
			next, ok, err := d.r.cfg.Log.Get(ctx, e.Seq+1)
			if err != nil {
				return decision{}, err
			}
			if ok && next.Producer == e.Producer && next.Object.ID() == e.Object.ID() && d.gate.Object(gate.Of(next)).Pass {
				return outweighed(gate.Superseded), nil
			}
		}
		return deliver(e), nil
	}
	if e.Retracts() && d.expired(e) {
		before, ok, err := d.r.cfg.Log.Get(ctx, e.Context.Prev)
		if err != nil {
			return decision{}, err
		}
		if ok && !before.Retracts() && !d.gate.Object(gate.Of(before)).Pass {
			return held(gate.Expired), nil
		}
	}
	if d.fresh(e) {
		return deliver(e), nil
	}
	var failure error
	w := d.gate.Event(e, func() (stix.Object, bool) {
		before, ok, err := d.r.cfg.Log.Get(ctx, e.Context.Prev)
		failure = err
		if err != nil || !ok || (before.Retracts() && !before.Context.Next) || !d.gate.Object(asVersion(before)).Pass {
			return stix.Object{}, false
		}
		return before.Object, true
	})
	if failure != nil {
		return decision{}, failure
	}
	if !w.Pass {
		return held(w.Gate), nil
	}
	return deliver(e), nil
}

// takeBack decides on an event whose object the target may not hold, though it may hold the version before.
func (d *decider) takeBack(ctx context.Context, e bridge.Event, cause string) (decision, error) {
	before, known, err := d.r.cfg.Log.Get(ctx, e.Context.Prev)
	if err != nil {
		return decision{}, err
	}
	if known {
		first := before.Context.Prev == 0 && before.Op == bridge.Create && d.phase.Start != StartLatest
		if before.Retracts() || !d.gate.Object(gate.Of(before)).Pass || (first && !d.gate.Event(before, nil).Pass) {
			d.never.note(e.Producer, e.Object.ID(), e.Seq)
			return held(cause), nil
		}
	} else {
		before = bridge.Event{Object: stix.Stub(e.Object.Type(), e.Object.ID()), TLP: e.TLP}
	}
	back := e
	back.Op, back.Object, back.TLP = bridge.Retract, before.Object, before.TLP
	back.Context = bridge.Context{Reason: "gate", Cause: e.Seq, CauseID: e.ID, Prev: e.Context.Prev}
	if cause == gate.MaxTLP {
		back.Context.Reason = "reclassified"
	}
	return deliver(back), nil
}

// asVersion is the view of an event's object as the version that the target got, whatever the event said of it.
func asVersion(e bridge.Event) gate.View {
	v := gate.Of(e)
	v.Held = false
	return v
}

// firstSeq returns the sequence of the log's oldest event, as it was a moment ago at most.
func (d *decider) firstSeq(ctx context.Context, at uint64) (uint64, error) {
	d.mu.Lock()
	first, asked := d.first, d.asked
	d.mu.Unlock()
	if first > at || time.Since(asked) < firstSeqFor {
		return first, nil
	}
	first, err := d.r.cfg.Log.FirstSeq(ctx)
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.first, d.asked = first, time.Now()
	return first, nil
}

const firstSeqFor = 100 * time.Millisecond
