package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// leased lets a sink deliver only while this process certainly owns its partitions. A process that was stopped for longer than its lease
// would otherwise hand the target what another one has long overtaken, until its next save is refused. What it had begun before it was
// stopped cannot be called back: such calls are cut off and counted.
type leased struct {
	bridge.Sink
	lease func() *eventlog.Lease
	late  *atomic.Uint64
}

var errStale = errors.New("the lease could not be renewed in time: another process may have taken over")

// Deliver hands over the batch, or says that it is too late.
func (s leased) Deliver(ctx context.Context, batch []bridge.Event) error {
	l := s.lease()
	if l == nil { // not of a group: somebody waits for this one delivery
		return s.Sink.Deliver(ctx, batch)
	}
	if !l.Fresh() {
		return bridge.RetryAfter(errStale, 250*time.Millisecond)
	}
	err := s.Sink.Deliver(ctx, batch)
	if !l.Fresh() {
		s.late.Add(1)
	}
	return err
}

// Unwrap returns the sink, for what else it can do.
func (s leased) Unwrap() any { return s.Sink }
