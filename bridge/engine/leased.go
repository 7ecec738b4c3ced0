package engine

import (
	"context"
	"errors"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// leased lets a sink deliver only while its consumer certainly leads. A process that was stopped for longer than its lease would otherwise
// hand the target what another instance has long overtaken, until its next save is refused.
type leased struct {
	bridge.Sink
	fresh func() bool
}

var errStale = errors.New("the lease could not be renewed in time: another instance may have taken over")

// Deliver hands over the batch, or says that it is too late.
func (s leased) Deliver(ctx context.Context, batch []bridge.Event) error {
	if !s.fresh() {
		return bridge.RetryAfter(errStale, 250*time.Millisecond)
	}
	return s.Sink.Deliver(ctx, batch)
}

// Unwrap returns the sink, for what else it can do.
func (s leased) Unwrap() any { return s.Sink }
