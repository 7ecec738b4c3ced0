package delivery

import (
	"context"
	"errors"
	"fmt"
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

// prepare makes the decisions that had to wait for the items' turn, and returns what is to be delivered.
func (r *Runner) prepare(ctx context.Context, batch []*item) ([]*item, []bridge.Event, error) {
	var decisions []decision
	for i, it := range batch {
		if !it.undone && !it.light && it.aside == nil {
			continue
		}
		if decisions == nil {
			decisions = make([]decision, len(batch))
		}
		d, err := r.decide.turn(ctx, it)
		if err != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			if ctx.Err() == nil {
				r.s.temper.rest(time.Now(), backoff(2), fmt.Errorf("deciding on event %d: %w", it.event.Seq, err))
			}
			for _, it := range batch {
				r.s.back(it)
			}
			r.s.running--
			r.work.Broadcast()
			return nil, nil, err
		}
		decisions[i] = d
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
		r.mu.Unlock()
		return batch, events, nil
	}
	return r.sift(batch, decisions)
}

// sift takes out of the batch what is not to be delivered now.
func (r *Runner) sift(batch []*item, decisions []decision) (go_ []*item, events []bridge.Event, err error) {
	type end struct {
		a *aside
		e ending
	}
	var ends []end
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
				ends = append(ends, end{it.aside, ending{outcome: heldBack, gate: d.gate}})
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
			go_ = append(go_, it)
			events = append(events, r.lend(d.event, it))
		}
	}
	if len(go_) < len(batch) {
		r.released()
	}
	if len(go_) == 0 {
		r.s.running--
		r.work.Broadcast()
	}
	r.mu.Unlock()
	for _, e := range ends {
		e.a.end(e.e)
	}
	if mixed {
		sortBySeq(go_, events)
	}
	return go_, events, nil
}

// lend completes an event for the plugin.
func (r *Runner) lend(e bridge.Event, it *item) bridge.Event {
	e.Attempt = it.tries + 1
	return e.Lend(&r.decide)
}

// attempt calls the target once, with a deadline; a panic becomes an error.
func (r *Runner) attempt(ctx context.Context, events []bridge.Event) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.cfg.Timeout, fmt.Errorf("no answer within %s", r.cfg.Timeout))
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = panicked{v}
		}
	}()
	err = r.cfg.Sink.Deliver(ctx, events)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		if cause := context.Cause(ctx); !errors.Is(err, cause) {
			err = fmt.Errorf("%w (%w)", cause, err)
		}
	}
	return err
}

// finish puts every item of a call where it belongs: settled, or back in its place. verdicts nil: nothing was judged.
func (r *Runner) finish(batch []*item, events []bridge.Event, errs []error, verdicts []verdict) {
	type end struct {
		a *aside
		e ending
	}
	var ends []end
	r.mu.Lock()
	for i, it := range batch {
		a := it.aside
		switch {
		case errs[i] == nil:
			r.stat.arrive(events[i])
			if a != nil {
				ends = append(ends, end{a, ending{outcome: arrived}})
			}
			r.s.settle(it)
		case verdicts != nil && verdicts[i].reason != "":
			if a != nil {
				ends = append(ends, end{a, ending{outcome: failed, reason: verdicts[i].reason, err: errs[i]}})
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
	for _, e := range ends {
		e.a.end(e.e)
	}
}

// released tells everybody that items were settled or came back.
func (r *Runner) released() {
	r.work.Broadcast()
	r.space.Broadcast()
	if r.s.urgent() {
		r.kickSaver()
	}
}

// probe asks the target whether it accepts us again.
func (r *Runner) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	p, _ := as[bridge.Prober](r.cfg.Sink)
	err := p.Probe(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s.running--
	t := &r.s.temper
	if err == nil {
		t.refused, t.quiet = false, time.Time{} // whether it takes events, too, shows the next call
	} else {
		t.refuse(time.Now(), err)
	}
	r.work.Broadcast()
}

// startSink starts a sink that must be started; until it succeeds, nothing is delivered.
func (r *Runner) startSink(ctx context.Context) {
	s, ok := as[bridge.Starter](r.cfg.Sink)
	env := r.env()
	for n := 1; ok; n++ {
		err := s.Start(ctx, env)
		if err == nil {
			break
		}
		r.mu.Lock()
		r.s.temper.note(time.Now(), err)
		r.s.temper.refused = bridge.IsPaused(err)
		r.mu.Unlock()
		wait := backoff(n)
		if w, asked := bridge.Wait(err); asked {
			wait = w
		}
		if pause(ctx, wait) != nil {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok {
		r.s.temper = temper{}
	}
	r.started = true
	r.work.Broadcast()
}

// env is what the sink is lent for its life.
func (r *Runner) env() bridge.Env {
	env := r.cfg.Env
	if env.Name == "" {
		env.Name = r.cfg.Name
	}
	if env.Log == nil {
		env.Log = r.cfg.Logger
	}
	if env.Lookup == nil {
		env.Lookup = r.Lookup
	}
	if env.DeadLetter == nil {
		env.DeadLetter = func(ctx context.Context, e bridge.Event, reason string) error {
			err := r.cfg.Letters.Store(ctx, Letter{Consumer: r.cfg.Name, Event: e, Reason: ReasonTarget, Error: reason, Attempts: e.Attempt, Time: time.Now().UTC()})
			if err == nil {
				r.mu.Lock()
				r.stat.dead++
				r.mu.Unlock()
			}
			return err
		}
	}
	return env
}

// tell logs how the target's health changed.
func (r *Runner) tell(before, after, reason string) {
	switch {
	case before == after:
	case after == bridge.Healthy:
		r.cfg.Logger.Info("deliveries succeed again", "consumer", r.cfg.Name)
	default:
		r.cfg.Logger.Warn("a delivery failed and is tried again", "consumer", r.cfg.Name, "health", after, "error", reason)
	}
}
