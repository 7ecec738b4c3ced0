package bridgetest

import (
	"context"
	"errors"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// Driver delivers events to a sink as the runtime does, in miniature: batches that hold each object once, retries in place, a batch that is refused
// as a whole is halved, a permanent error makes a dead letter, a paused sink is probed. Waits are cut short.
type Driver struct {
	Batch   int           // most events in a batch; 0: 1
	Timeout time.Duration // of one delivery; 0: 10 s
	Pause   time.Duration // between two tries, whatever the sink asks for; 0: 5 ms
	// Failed hears of every delivery that failed, before it is tried again; returning false ends the drive.
	Failed func(batch []bridge.Event, err error) bool
}

// ErrStopped says that Failed ended the drive.
var ErrStopped = errors.New("stopped by the test")

// Drive returns the dead letters by event id, and how many events from the first on are dealt with.
func (d Driver) Drive(ctx context.Context, s bridge.Sink, events []bridge.Event) (dead map[string]error, position int, err error) {
	dead = map[string]error{}
	for position < len(events) {
		n := d.next(events[position:])
		if err := d.deliver(ctx, s, events[position:position+n], dead); err != nil {
			return dead, position, err
		}
		position += n
	}
	return dead, position, nil
}

// next is the length of the next batch: no object twice.
func (d Driver) next(events []bridge.Event) int {
	seen := map[string]bool{}
	for i, e := range events {
		if i >= max(d.Batch, 1) || seen[e.Object.ID()] {
			return i
		}
		seen[e.Object.ID()] = true
	}
	return len(events)
}

func (d Driver) deliver(ctx context.Context, s bridge.Sink, batch []bridge.Event, dead map[string]error) error {
	for attempt := 1; len(batch) > 0; attempt++ {
		for i := range batch {
			batch[i].Attempt = attempt
		}
		err := d.once(ctx, s, batch)
		if err == nil {
			return nil
		}
		if d.Failed != nil && !d.Failed(batch, err) {
			return errors.Join(ErrStopped, err)
		}
		var some *bridge.BatchError
		switch {
		case errors.As(err, &some):
			var rest []bridge.Event
			for i, e := range batch {
				switch ferr := some.Failed[i]; {
				case ferr == nil:
				case bridge.IsPermanent(ferr):
					dead[e.ID] = ferr
				default:
					rest = append(rest, e)
				}
			}
			batch = rest
		case bridge.IsPermanent(err) && len(batch) == 1:
			dead[batch[0].ID] = err
			return nil
		case bridge.IsPermanent(err):
			half := len(batch) / 2
			if err := d.deliver(ctx, s, batch[:half], dead); err != nil {
				return err
			}
			batch = batch[half:]
			continue
		}
		if p, ok := s.(bridge.Prober); ok && bridge.IsPaused(err) {
			for p.Probe(ctx) != nil && ctx.Err() == nil {
				d.wait(ctx)
			}
		}
		d.wait(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (d Driver) once(ctx context.Context, s bridge.Sink, batch []bridge.Event) error {
	limit := d.Timeout
	if limit == 0 {
		limit = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.Deliver(ctx, append([]bridge.Event(nil), batch...))
}

func (d Driver) wait(ctx context.Context) {
	pause := d.Pause
	if pause == 0 {
		pause = 5 * time.Millisecond
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
