package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

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

// vouch asks the target, before an item that fails again and again is tried with nothing else there, whether it is well.
func (r *Runner) vouch(ctx context.Context, batch []*item) {
	p, ok := as[bridge.Prober](r.cfg.Sink)
	if !ok || len(batch) != 1 {
		return
	}
	r.mu.Lock()
	lonely := r.s.lonely(batch[0])
	r.mu.Unlock()
	if !lonely {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	batch[0].vouch = p.Probe(ctx) == nil // the item is ours until it is finished
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
	if env.Current == nil {
		env.Current = r.decide.current
	}
	if env.Settle == nil {
		env.Settle = func(ctx context.Context) error { return r.decide.settle(ctx, "") }
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
