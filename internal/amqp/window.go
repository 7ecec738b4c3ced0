package amqp

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"
)

// handOver takes each message's earlier slot, or gives it to the writer in a new one, until it meets an error.
func (e *epoch) handOver(ctx context.Context, msgs []Message, slots []*slot) (err error) {
	for i := range msgs {
		if slots[i] = e.p.recall(msgs[i].ID); slots[i] != nil {
			continue
		}
		if slots[i], err = e.send(ctx, msgs[i]); err != nil {
			return err
		}
	}
	return nil
}

// send takes room in the window and hands a message to the writer. It waits while the broker blocks, but not for ever.
func (e *epoch) send(ctx context.Context, m Message) (*slot, error) {
	if err := e.unblocked(ctx); err != nil {
		return nil, err
	}
	if !e.p.slots.TryAcquire(1) {
		if err := e.acquire(ctx, e.p.slots, 1); err != nil {
			return nil, err
		}
	}
	if w := e.p.weight(m); !e.p.bytes.TryAcquire(w) {
		if err := e.acquire(ctx, e.p.bytes, w); err != nil {
			e.p.slots.Release(1)
			return nil, err
		}
	}
	s := &slot{msg: m, done: make(chan struct{})}
	e.mu.Lock()
	if e.open == 0 {
		e.moved = time.Now()
	}
	e.open++
	e.mu.Unlock()
	e.queue <- s
	if e.over() {
		e.drain()
	}
	return s, nil
}

// acquire waits for room in the window until the epoch ends or the broker has blocked for too long.
func (e *epoch) acquire(ctx context.Context, window *semaphore.Weighted, n int64) error {
	for {
		e.mu.Lock()
		change := e.change
		e.mu.Unlock()
		room, stop := context.WithCancel(ctx)
		e.wg.Go(func() {
			defer stop()
			patience := time.NewTimer(e.p.c.Patience)
			defer patience.Stop()
			select {
			case <-e.done:
			case <-change:
			case <-patience.C:
			case <-room.Done():
			}
		})
		err := window.Acquire(room, n)
		stop()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case e.over():
			return e.lost()
		}
		if err := e.unblocked(ctx); err != nil {
			return err
		}
		if reason := e.stuck(); reason != "" {
			return &BlockedError{Reason: reason}
		}
	}
}

// wait blocks until a message is settled, unless the caller gave up already; an error means that it is not.
func (e *epoch) wait(ctx context.Context, s *slot, gaveUp error) error {
	select {
	case <-s.done:
		return nil
	default:
		if gaveUp != nil {
			return gaveUp
		}
	}
	for {
		patience := time.NewTimer(e.p.c.Patience)
		select {
		case <-s.done:
			patience.Stop()
			return nil
		case <-ctx.Done():
			patience.Stop()
			return context.Cause(ctx)
		case <-patience.C:
			if reason := e.stuck(); reason != "" {
				e.mu.Lock()
				e.silent = reason
				e.mu.Unlock()
				return &BlockedError{Reason: reason}
			}
		}
	}
}

// unblocked waits until the broker takes messages.
func (e *epoch) unblocked(ctx context.Context) error {
	patience := time.NewTimer(e.p.c.Patience)
	defer patience.Stop()
	for {
		e.mu.Lock()
		reason, change := e.blocked, e.change
		e.mu.Unlock()
		if reason == "" {
			return nil
		}
		select {
		case <-change:
		case <-e.done:
			return e.lost()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-patience.C:
			return &BlockedError{Reason: reason}
		}
	}
}

// stuck says why nothing moves: what the broker gave as its reason, or that it gave none. A broker under an alarm may stop to
// read before it says so, and then say nothing until the alarm is over.
func (e *epoch) stuck() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.blocked != "" {
		return e.blocked
	}
	if idle := time.Since(e.moved); idle >= e.p.c.Patience {
		return "no confirmation for " + idle.Round(time.Second/10).String()
	}
	return ""
}
