package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// transientFor is how long a start waits for a cluster that elects a leader or has a server too few.
const transientFor = time.Minute

// transient reports whether an error of the event log goes away by itself: no leader for the moment, no answer in time.
func transient(err error) bool {
	for _, known := range []error{context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected, jetstream.ErrNoStreamResponse, eventlog.ErrBusy, eventlog.ErrUnknown} {
		if errors.Is(err, known) {
			return true
		}
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && api.Code == 503
}

// patiently calls f until it succeeds or fails for good, or the event log has not answered for transientFor.
func patiently(ctx context.Context, log *slog.Logger, f func() error) error {
	for began := time.Now(); ; {
		err := f()
		if err == nil || ctx.Err() != nil || !transient(err) || time.Since(began) > transientFor {
			return err
		}
		log.Warn("the event log does not answer, waiting for it", "error", err)
		if pause(ctx, time.Second) != nil {
			return err
		}
	}
}
