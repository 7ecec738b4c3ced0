package delivery

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// prepare makes the decisions that had to wait for the items' turn, and returns what is to be delivered.
func (r *Runner) prepare(ctx context.Context, batch []*item) ([]*item, []bridge.Event, error) {
	var undone []int
	for i, it := range batch {
		if it.undone || it.light || it.aside != nil {
			undone = append(undone, i)
		}
	}
	decisions, err := r.decisions(ctx, batch, undone)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if ctx.Err() == nil {
			r.s.temper.rest(time.Now(), backoff(2), err)
		}
		for _, it := range batch {
			r.s.back(it)
		}
		r.s.running--
		r.work.Broadcast()
		return nil, nil, err
	}
	if decisions == nil {
		events := make([]bridge.Event, len(batch))
		for i, it := range batch {
			events[i] = r.lend(it.event, it)
		}
		r.mu.Lock()
		for _, it := range batch {
			it.lane.last = it.seq
		}
		r.calling[batch[0]] = time.Now()
		r.mu.Unlock()
		return batch, events, nil
	}
	return r.sift(batch, decisions)
}

// askers is how many decisions of a batch are made at a time: each waits for answers from the log and the latest objects, and no two
// are about one object.
const askers = 8

// decisions makes the decisions on some items of a batch; nil when there are none.
func (r *Runner) decisions(ctx context.Context, batch []*item, undone []int) ([]decision, error) {
	if len(undone) == 0 {
		return nil, nil
	}
	out, errs := make([]decision, len(batch)), make([]error, len(batch))
	ask := func(i int) bool {
		out[i], errs[i] = r.decide.turn(ctx, batch[i])
		return errs[i] == nil
	}
	if len(undone) <= 2 {
		for _, i := range undone {
			if !ask(i) {
				break
			}
		}
	} else {
		var next atomic.Int64
		var g sync.WaitGroup
		for range min(askers, len(undone)) {
			g.Go(func() {
				for n := next.Add(1); int(n) <= len(undone); n = next.Add(1) {
					if !ask(undone[n-1]) {
						next.Store(int64(len(undone))) // one is enough to wait
						return
					}
				}
			})
		}
		g.Wait()
	}
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("deciding on event %d: %w", batch[i].event.Seq, err)
		}
	}
	return out, nil
}

// sift takes out of the batch what is not to be delivered now.
func (r *Runner) sift(batch []*item, decisions []decision) (out []*item, events []bridge.Event, err error) {
	var ends endings
	var mixed bool
	r.mu.Lock()
	for i, it := range batch {
		d := decision{deliver: true, event: it.event}
		if it.undone || it.light || it.aside != nil {
			d = decisions[i]
		}
		if d.missing {
			r.stat.missing++
		}
		switch {
		case d.state > r.s.floors.read && d.state > 0:
			r.s.park(it, d.state)
		case d.state > 0 && it.overtaken():
			r.s.rotate(it)
		case d.state > r.s.lanes.durable[it.part]:
			it.lane.last = max(it.lane.last, d.state)
			r.s.back(it)
			r.kickSaver()
		case !d.deliver:
			switch {
			case it.aside != nil:
				ends.add(it.aside, ending{outcome: heldBack, gate: d.gate})
			case d.gate == gateLost:
				r.stat.lost++
				r.stat.lostAt = time.Now()
			default:
				if d.fickle {
					it.lane.last = it.seq
				}
				r.stat.hold(d.gate)
			}
			r.s.settle(it)
		default:
			if it.aside == nil {
				it.lane.last = it.seq
			} else {
				mixed = true
			}
			out = append(out, it)
			events = append(events, r.lend(d.event, it))
		}
	}
	if len(out) < len(batch) {
		r.released()
	}
	if len(out) == 0 {
		r.s.running--
		r.work.Broadcast()
	} else {
		if mixed {
			sortBySeq(out, events)
		}
		r.calling[out[0]] = time.Now()
	}
	r.mu.Unlock()
	ends.tell()
	return out, events, nil
}

// lend completes an event for the plugin.
func (r *Runner) lend(e bridge.Event, it *item) bridge.Event {
	e.Attempt = it.tries + 1
	return e.Lend(&r.decide)
}
