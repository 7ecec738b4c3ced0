package engine

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/intake"
)

// clock emits an expire event when an object's valid_until has passed. It keeps 16 bytes for each object that has one: the time,
// and the place of its entry in STIX_LATEST; an entry that was replaced since is simply not there any more.
type clock struct {
	e    *Engine
	mu   sync.Mutex
	due  dueHeap
	wake chan struct{}
}

type dueAt struct {
	at    int64 // Unix seconds, rounded up
	entry uint64
}

type dueHeap []dueAt

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueAt)) }
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newClock(e *Engine) *clock { return &clock{e: e, wake: make(chan struct{}, 1)} }

// note remembers the end of validity of an entry.
func (c *clock) note(validUntil string, entry uint64) {
	t, err := time.Parse(time.RFC3339Nano, validUntil)
	if err != nil {
		return // not a date: validation reports it, the clock cannot
	}
	c.mu.Lock()
	heap.Push(&c.due, dueAt{t.Add(time.Second - 1).Unix(), entry})
	first := c.due[0].entry == entry
	c.mu.Unlock()
	if first {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// run reads what is there, then waits for one end of validity after the other.
func (c *clock) run(ctx context.Context) error {
	err := c.e.store.Latest.Scan(ctx, "expiry", eventlog.LatestFilter("*", "*"), 0, true, func(n eventlog.Entry) error {
		if n.ValidUntil != "" && n.Asserted() {
			c.note(n.ValidUntil, n.At)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil { // the server is away for the moment; what is noted twice is looked up twice
		c.e.log.Warn("expiry clock begins again", "error", err)
		if pause(ctx, time.Second) == nil {
			return c.run(ctx)
		}
	}
	for ctx.Err() == nil {
		c.mu.Lock()
		wait := time.Hour
		var now []uint64
		for len(c.due) > 0 && len(now) < 1000 {
			if left := time.Until(time.Unix(c.due[0].at, 0)); left > 0 {
				wait = min(wait, left)
				break
			}
			now = append(now, heap.Pop(&c.due).(dueAt).entry)
		}
		c.mu.Unlock()
		if len(now) > 0 {
			if err := c.expire(ctx, now); err != nil && ctx.Err() == nil {
				c.e.log.Warn("expiry", "error", err)
			}
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// expire publishes the ends, each through its producer's intake.
func (c *clock) expire(ctx context.Context, entries []uint64) error {
	by := map[string][]bridge.Change{}
	for _, at := range entries {
		n, ok, err := c.e.store.Latest.At(ctx, at)
		if err != nil {
			return err
		}
		if !ok || !n.Asserted() {
			continue
		}
		o, err := n.Object()
		if err != nil {
			return err
		}
		by[n.Producer] = append(by[n.Producer], bridge.Change{Op: bridge.Expire, Object: o, Context: bridge.Context{Reason: "expired", Prev: n.Seq}})
	}
	var errs []error
	for name, changes := range by {
		if in := c.e.intakeOf(name); in != nil {
			errs = append(errs, in.Put(ctx, changes...))
			continue
		}
		err := c.e.as(ctx, name, "expiry", false, func(in *intake.Intake) error { return in.Put(ctx, changes...) })
		if !errors.Is(err, eventlog.ErrHeld) { // who holds it has a clock of its own
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// intakeOf is the open intake of a producer or enricher of this process, or nil.
func (e *Engine) intakeOf(name string) *intake.Intake {
	for _, p := range e.producers {
		if p.cfg.Name == name {
			return p.current()
		}
	}
	for _, k := range e.consumers {
		if k.cfg.Name == name {
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.in
		}
	}
	return nil
}
