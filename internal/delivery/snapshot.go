package delivery

import (
	"context"
	"errors"
	"slices"

	"github.com/stixbridge/stixbridge/bridge"
)

// most asides under way at once, per kind.
const asidesMost = 256

// serveSnapshot delivers each object's current state once, for a consumer that starts from latest; the live log follows. It
// resumes where it was. What changed after the position was made is left to the live log.
func (r *Runner) serveSnapshot(ctx context.Context) error {
	r.mu.Lock()
	phase := r.phase
	r.mu.Unlock()
	r.decide.phase = phase
	if !phase.Snapshot {
		return nil
	}
	scan := &scan{r: r, phase: phase}
	scan.front.pass(phase.At)
	err := r.again(ctx, "snapshot", func() error { return scan.run(ctx) })
	if err != nil {
		return err
	}
	last, err := uint64(0), error(nil)
	err = r.again(ctx, "event log", func() (err error) { last, err = r.cfg.Log.LastSeq(ctx); return err })
	if err != nil {
		return err
	}
	phase.Snapshot, phase.At, phase.Until = false, 0, last
	if err := r.savePhase(ctx, phase); err != nil {
		return err
	}
	r.decide.phase = phase
	return nil
}

// savePhase stores a phase; it blocks until it is durable.
func (r *Runner) savePhase(ctx context.Context, p Phase) error {
	return r.again(ctx, "position", func() error {
		r.saving.Lock()
		err := r.cfg.Positions.Save(ctx, Change{Phase: &p})
		r.saving.Unlock()
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.phase = p
		r.moved.Broadcast()
		return nil
	})
}

// scan is one pass over the latest objects.
type scan struct {
	r     *Runner
	phase Phase
	front frontier // in storage positions
}

// run delivers what is left; called again after an error it goes on.
func (s *scan) run(ctx context.Context) error {
	_, after := s.front.at()
	err := s.r.cfg.Latest.Scan(ctx, after, func(a Assertion, at uint64) error {
		if err := s.offer(ctx, a, at); err != nil {
			return err
		}
		s.front.pass(at)
		if done, _ := s.front.at(); done >= s.phase.At+scanStep {
			s.phase.At = done
			return s.r.savePhase(ctx, s.phase)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.r.calm(ctx)
}

// scanStep is after how many storage positions the resume point is saved.
const scanStep = 1000

// offer brings one entry into the lanes, unless another producer's entry stands for the object or the live log brings it.
func (s *scan) offer(ctx context.Context, a Assertion, at uint64) error {
	d := &s.r.decide
	if a.Seq > s.phase.From || !d.passes(a) {
		return nil
	}
	if d.gate.Several() {
		all, err := s.r.cfg.Latest.Of(ctx, a.Object.Type(), a.Object.ID())
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(o Assertion) bool { return !d.gate.Producer(o.Producer) })
		if slices.ContainsFunc(all, func(o Assertion) bool { return o.Seq > s.phase.From }) {
			return nil
		}
		all = slices.DeleteFunc(all, func(o Assertion) bool { return !d.passes(o) })
		if len(all) > 0 && d.best(all).Producer != a.Producer {
			return nil
		}
	}
	p := s.front.begin(at)
	return s.r.inject(ctx, a.Object.ID(), bridge.Event{Seq: a.Seq, Object: a.Object}, &aside{
		decide: func(context.Context) (decision, error) { return deliver(a.event(bridge.Create)), nil },
		done:   func(ending) { s.front.end(p) },
	})
}

// inject brings an item into the lanes beside the live reader; it blocks while too many are under way.
func (r *Runner) inject(ctx context.Context, id string, e bridge.Event, a *aside) error {
	defer context.AfterFunc(ctx, r.wake)()
	done := a.done
	a.done = func(e ending) {
		if done != nil {
			done(e)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asides--
		r.space.Broadcast()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.asides >= asidesMost || (r.asides > 0 && r.s.bytes >= r.s.window.bytes) {
		if r.closing || ctx.Err() != nil {
			break
		}
		r.space.Wait()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.closing {
		return errEnding
	}
	r.asides++
	it := r.s.blank()
	it.aside, it.event, it.part = a, e, partitionOf(id, r.cfg.Partitions)
	it.size = len(e.Object.Raw()) + overhead
	if r.s.inject(id, it) {
		r.work.Signal()
	} else if r.s.urgent() {
		r.kickSaver()
	}
	return nil
}

// errEnding is the error of what cannot be done because the run is ending.
var errEnding = errors.New("the consumer is stopping")

// calm waits until no aside is under way.
func (r *Runner) calm(ctx context.Context) error {
	defer context.AfterFunc(ctx, r.wake)()
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.asides > 0 && ctx.Err() == nil {
		r.space.Wait()
	}
	return context.Cause(ctx)
}

// partitionOf is the partition of an id: 32-bit FNV-1a of its bytes, modulo the count.
func partitionOf(id string, partitions int) int {
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return int(h % uint32(partitions))
}
