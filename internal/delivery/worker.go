package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// worker hands batches to the target until the run ends. ctx outlives the run by Config.Drain.
func (r *Runner) worker(ctx context.Context) {
	for {
		batch, probe, ok := r.next()
		switch {
		case !ok:
			return
		case probe:
			r.probe(ctx)
		default:
			r.handle(ctx, batch)
		}
	}
}

// next blocks until there is a batch, or a probe to make, or the run ends (false).
func (r *Runner) next() (batch []*item, probe, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if r.closing {
			return nil, false, false
		}
		if r.started && !r.stopped {
			now := time.Now()
			t := &r.s.temper
			if !t.refused {
				var again time.Time
				if batch, again = r.s.take(now); batch != nil {
					return batch, false, true
				}
				r.wakeAt(now, again)
			} else if wait := t.wait(now, 0, false); !wait.After(now) && r.s.running == 0 {
				if _, can := as[bridge.Prober](r.cfg.Sink); can {
					r.s.running++
					return nil, true, true
				}
				if batch, _ = r.s.gatherAny(now); batch != nil {
					return batch, false, true
				}
			} else if r.s.running == 0 {
				r.wakeAt(now, wait)
			}
		}
		r.work.Wait()
	}
}

func (r *Runner) wakeAt(now, t time.Time) {
	if !t.IsZero() {
		r.timer.Reset(max(t.Sub(now), time.Millisecond))
	}
}

// handle decides, delivers, and takes note of how it went.
func (r *Runner) handle(ctx context.Context, batch []*item) {
	batch, events, err := r.prepare(ctx, batch)
	if err != nil || len(batch) == 0 {
		return
	}
	r.vouch(ctx, batch)
	began := time.Now()
	errs, whole := answers(r.attempt(ctx, events), len(batch))
	now := time.Now()
	if ctx.Err() != nil && slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		// cut off by the end of the run: what failed stays where it is, with nothing against it
		r.finish(batch, events, errs, nil)
		return
	}
	r.mu.Lock()
	before, _ := r.healthLocked(now)
	verdicts := r.s.judge(batch, errs, whole, began, now)
	r.stat.call(now, len(batch), errs)
	after, reason := r.healthLocked(now)
	r.mu.Unlock()
	r.tell(before, after, reason)
	if r.cfg.Observe != nil {
		r.cfg.Observe(call(events, errs, now.Sub(began)))
	}
	for i, v := range verdicts {
		if v.reason == "" || batch[i].aside.own() {
			continue
		}
		l := Letter{Consumer: r.cfg.Name, Event: events[i], Reason: v.reason, Error: v.err.Error(), Attempts: batch[i].tries, Time: now.UTC()}
		if err := r.again(ctx, "dead letters", func() error { return r.cfg.Letters.Store(ctx, l) }); err != nil {
			verdicts[i].reason = "" // the run ends: it is tried again after the next start
		}
	}
	r.finish(batch, events, errs, verdicts)
}

// finish puts every item of a call where it belongs: settled, or back in its place. verdicts nil: nothing was judged.
func (r *Runner) finish(batch []*item, events []bridge.Event, errs []error, verdicts []verdict) {
	var ends endings
	r.mu.Lock()
	delete(r.calling, batch[0])
	for i, it := range batch {
		a := it.aside
		switch {
		case errs[i] == nil:
			r.stat.arrive(events[i])
			if a != nil {
				ends.add(a, ending{outcome: arrived})
			}
			r.s.settle(it)
		case verdicts != nil && verdicts[i].reason != "":
			if a != nil {
				ends.add(a, ending{outcome: failed, reason: verdicts[i].reason, err: errs[i]})
			}
			if !a.own() {
				r.stat.dead++
			}
			r.s.settle(it)
		default:
			r.s.back(it)
		}
	}
	r.s.running--
	r.released()
	r.mu.Unlock()
	ends.tell()
}

// released tells everybody that items were settled or came back.
func (r *Runner) released() {
	r.work.Broadcast()
	r.space.Broadcast()
	if r.s.urgent() {
		r.kickSaver()
	}
}
