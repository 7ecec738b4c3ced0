// Package delivery runs one consumer: it reads the event log behind a durable position of the consumer's own, asks the gates,
// hands batches to the target with order per object, and moves the position when, and only when, an event is dealt with.
//
//	log → gates → window → lanes (one per object) → batch → Deliver → verdict → floors → durable position
//
// What holds whatever happens: a position moves past an event only after it was delivered, held back by a gate or stored as a
// dead letter; a version of an object is handed over only when the position is durably past the version before; a failing event
// is tried again in its place; memory is bounded by the window and what is in flight.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/internal/gate"
)

// Runner runs one consumer. Make it with New, give it a position with Prepare before any producer starts, then Run it once.
type Runner struct {
	cfg    Config
	gate   *gate.Gate
	decide decider

	mu      sync.Mutex
	work    sync.Cond // a worker may find something
	space   sync.Cond // the window has room, or an aside ended
	moved   sync.Cond // a durable floor moved, or the run ended
	kick    chan struct{}
	saving  sync.Mutex // one call of Positions at a time
	s       *sched
	share   []int // our partitions
	timer   *time.Timer
	sources map[string]uint64 // newest sequence read, by producer
	phase   Phase
	started bool  // the sink is started
	stopped bool  // by Pause
	closing bool  // no call may begin
	over    error // why the run ended
	begun   bool  // Run was called
	running bool
	broke   bool // the run ended with an error
	asides  int
	calling map[*item]time.Time // calls under way, by their first item
	trouble map[string]string   // what fails of our own parts, by part
	replays map[string]*replaying
	stat    counters
	stop    context.CancelCauseFunc
	ctx     context.Context // of the run
	live    bool            // the snapshot, if any, is served
	others  sync.WaitGroup  // goroutines that bring events in
	ended   chan struct{}   // closed when the run has ended
}

// New makes a runner; it touches nothing.
func New(cfg Config) (*Runner, error) {
	cfg = cfg.withDefaults()
	switch {
	case cfg.Sink == nil || cfg.Gate == nil || cfg.Log == nil || cfg.Positions == nil || cfg.Letters == nil:
		return nil, fmt.Errorf("consumer %s: sink, gate, log, positions and letters are needed", cfg.Name)
	case cfg.Latest == nil && (cfg.Traits.State || cfg.Start == StartLatest):
		return nil, fmt.Errorf("consumer %s: a state sink and start: latest need the latest objects", cfg.Name)
	}
	r := &Runner{cfg: cfg, gate: cfg.Gate, kick: make(chan struct{}, 1), sources: map[string]uint64{}, trouble: map[string]string{}, replays: map[string]*replaying{}, calling: map[*item]time.Time{}, ended: make(chan struct{})}
	r.work.L, r.space.L, r.moved.L = &r.mu, &r.mu, &r.mu
	r.s = newSched(cfg.Partitions, cfg.Traits.Ordered, bounds{cfg.Window.Events, cfg.Window.Bytes}, bounds{cfg.Batch.Events, cfg.Batch.Bytes})
	if r.share = cfg.Share; r.share == nil {
		for p := range cfg.Partitions {
			r.share = append(r.share, p)
		}
	}
	r.decide.init(r)
	return r, nil
}

// After makes the runner go on with the counts of one that has ended, and with its stop.
func (r *Runner) After(old *Runner) {
	old.mu.Lock()
	stat, stopped := old.stat, old.stopped
	stat.held = maps.Clone(stat.held)
	old.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stat, r.stopped = stat, stopped
}

// Owns reports whether an object's events are this runner's to deliver, now.
func (r *Runner) Owns(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running && !r.closing && slices.Contains(r.share, partitionOf(id, r.cfg.Partitions))
}

// elsewhere is the durable floor of a partition that is not this runner's: nothing waits for it.
const elsewhere = math.MaxUint64

// Run delivers until ctx ends; then it lets the deliveries under way finish within Config.Drain, saves the position, closes the
// sink and returns nil. It returns an error when it cannot go on: the position was taken over, or the log ends before it. A cause of
// ctx's end that is ErrFenced cuts the deliveries off at once and is returned. A runner runs once.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	if r.begun {
		r.mu.Unlock()
		return fmt.Errorf("consumer %s: a runner runs once; make a new one", r.cfg.Name)
	}
	r.begun = true
	r.mu.Unlock()
	defer close(r.ended)
	state, err := r.load(ctx)
	if err != nil && ctx.Err() != nil && !errors.Is(context.Cause(ctx), ErrFenced) {
		return nil // it ends before it has begun
	}
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.over, r.broke = err, true
		r.wakeLocked()
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	calls, cut := context.WithCancel(context.WithoutCancel(ctx)) // deliveries outlive ctx by Drain
	defer cut()
	r.mu.Lock()
	r.stop, r.ctx, r.running = stop, ctx, true
	r.phase = state.Phase
	for p := range r.s.lanes.durable {
		r.s.lanes.durable[p] = elsewhere
	}
	for _, p := range r.share {
		r.s.lanes.durable[p] = state.Floors[p]
	}
	r.timer = time.AfterFunc(time.Hour, r.wake)
	r.mu.Unlock()
	defer r.timer.Stop()

	var workers, saver sync.WaitGroup
	for range r.cfg.Concurrency {
		workers.Go(func() { r.worker(calls) })
	}
	r.others.Go(func() { r.startSink(ctx) })
	r.others.Go(func() { r.feed(ctx, state) })
	saving, endSaving := context.WithCancel(context.WithoutCancel(ctx))
	defer endSaving()
	saver.Go(func() { r.saver(saving) })

	<-ctx.Done()
	r.settleDown(ctx, &workers, cut)
	endSaving()
	saver.Wait()
	return r.conclude(ctx)
}

// fail ends the run with an error.
func (r *Runner) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over == nil {
		r.over = fmt.Errorf("consumer %s: %w", r.cfg.Name, err)
		r.broke = true
	}
	r.closing = true
	r.stop(r.over)
	r.wakeLocked()
}

// wake lets everybody look again.
func (r *Runner) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wakeLocked()
}

func (r *Runner) wakeLocked() {
	r.work.Broadcast()
	r.space.Broadcast()
	r.moved.Broadcast()
}

// Pause keeps new deliveries from beginning; those under way finish, and reading stops when the window is full.
func (r *Runner) Pause() { r.setStopped(true) }

// Resume ends Pause.
func (r *Runner) Resume() { r.setStopped(false) }

func (r *Runner) setStopped(v bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = v
	r.work.Broadcast()
}

// Wait blocks until the durable position has passed seq, the run ends, or ctx ends. A reader that leaves events out must yield marks.
func (r *Runner) Wait(ctx context.Context, seq uint64) error {
	defer context.AfterFunc(ctx, r.wake)()
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case r.positionLocked() >= seq && !r.phase.Snapshot:
			return nil
		case r.over != nil:
			return r.over
		}
		if r.floorLocked() >= seq {
			r.kickSaver()
		}
		r.moved.Wait()
	}
}

// note keeps what fails of our own parts visible in status; nil clears it.
func (r *Runner) note(part string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.trouble, part)
		return
	}
	if r.trouble[part] == "" {
		r.cfg.Logger.Warn("consumer cannot go on", "consumer", r.cfg.Name, "part", part, "error", err)
	}
	r.trouble[part] = err.Error()
}

// again calls f until it succeeds, the error is final, or ctx ends; the failure is visible meanwhile.
func (r *Runner) again(ctx context.Context, part string, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		if err == nil {
			if n > 1 {
				r.note(part, nil)
			}
			return nil
		}
		if errors.Is(err, ErrFenced) || errors.Is(err, ErrFinal) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.note(part, err)
		if pause(ctx, min(backoff(n), 5*time.Second)) != nil {
			return err
		}
	}
}

// ErrFinal marks errors of a run that no other run mends: the position and the log do not belong together.
var ErrFinal = errors.New("it cannot go on")

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
