package engine

import (
	"context"
	"sync/atomic"

	"github.com/stixbridge/stixbridge/bridge"
)

// onDelete gives a sink what on_delete says a delete, an expiry or a retract means at its target. The sink's own way is auto.
type onDelete struct {
	inner  bridge.Sink
	revoke bool // hand over the object as revoked; else nothing
	held   atomic.Uint64
}

// Deliver hands over what is left of the batch.
func (s *onDelete) Deliver(ctx context.Context, batch []bridge.Event) error {
	rest := make([]bridge.Event, 0, len(batch))
	at := make([]int, 0, len(batch))
	for i, e := range batch {
		if e.Retracts() {
			if !s.revoke {
				s.held.Add(1)
				continue
			}
			o, err := e.Object.Set("revoked", true)
			if err != nil {
				return err
			}
			e.Op, e.Object = bridge.Update, o
		}
		rest, at = append(rest, e), append(at, i)
	}
	if len(rest) == 0 {
		return nil
	}
	err := s.inner.Deliver(ctx, rest)
	failed, ok := err.(*bridge.BatchError)
	if !ok {
		return err
	}
	var all bridge.BatchError
	for i, err := range failed.Failed {
		if i < len(at) {
			all.Fail(at[i], err)
		}
	}
	return all.Err()
}

// Unwrap returns the sink, for what else it can do.
func (s *onDelete) Unwrap() any { return s.inner }
