package delivery

import (
	"context"
	"errors"
	"time"
)

// lagging: a floor without work of its own is saved when it is this far behind, so that a restart need not read so much again.
const lagging = 1024

// saver writes the floors: every SaveEvery when something moved, at once when a lane waits for it.
func (r *Runner) saver(ctx context.Context) {
	tick := time.NewTimer(r.cfg.SaveEvery)
	defer tick.Stop()
	full := time.Now()
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
			all = true
		case <-tick.C:
			tick.Reset(r.cfg.SaveEvery)
			all = time.Since(full) > 10*time.Second
		}
		if all {
			full = time.Now()
		}
		err := r.again(ctx, "position", func() error { return r.save(ctx, all) })
		if errors.Is(err, ErrFenced) {
			r.fail(err)
			return
		}
	}
}

// save stores the floors that moved. all: also those that only follow the reader.
func (r *Runner) save(ctx context.Context, all bool) error {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.mu.Lock()
	c := Change{Floors: map[int]uint64{}}
	touched := r.s.touched
	r.s.touched = false
	for _, p := range r.share {
		f, d := r.s.floors.floor(p), r.s.lanes.durable[p]
		if f > d && (all || touched || f-d >= lagging) {
			c.Floors[p] = f
		}
	}
	r.mu.Unlock()
	if len(c.Floors) == 0 {
		return nil
	}
	if err := r.cfg.Positions.Save(ctx, c); err != nil {
		r.mu.Lock()
		r.s.touched = true
		r.mu.Unlock()
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.s.saved(c.Floors) {
		r.work.Broadcast()
	}
	if r.s.urgent() {
		r.kickSaver()
	}
	r.moved.Broadcast()
	return nil
}

// lastSave stores what the run has done at its end; it tries for five seconds.
func (r *Runner) lastSave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return r.wrap("storing the position at the end", r.again(ctx, "position", func() error { return r.save(ctx, true) }))
}

// kickSaver asks for a save at once; it needs no lock.
func (r *Runner) kickSaver() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// positionLocked is up to where everything is durably dealt with.
func (r *Runner) positionLocked() uint64 {
	low := r.s.lanes.durable[0]
	for _, f := range r.s.lanes.durable {
		low = min(low, f)
	}
	return low
}

// floorLocked is the same for what is not saved yet.
func (r *Runner) floorLocked() uint64 {
	if it := r.s.floors.lowest(); it != nil {
		return it.seq - 1
	}
	return r.s.floors.read
}
