package subscriber

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// desk hands out large payloads to one subscriber. Events do not come this way: JetStream delivers them itself.
type desk struct {
	sub   Subscriber
	nc    *nats.Conn
	store *eventlog.Store
	log   *slog.Logger

	rate *rate.Limiter
	subs *nats.Subscription
}

// A subscriber's requests for payloads: how many a second, and how many wait here. One is answered at a time.
const (
	blobRate  = 50
	blobQueue = 64
)

// open begins to answer. Several bridges at one event log share the requests.
func (d *desk) open(ctx context.Context) (err error) {
	d.rate = rate.NewLimiter(blobRate, blobRate)
	d.subs, err = d.nc.QueueSubscribe(Services+"."+d.sub.Name+".blob", "stixbridge", func(m *nats.Msg) {
		if m.Reply == "" || d.rate.Wait(ctx) != nil {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		d.blob(ctx, m)
	})
	if err != nil {
		return err
	}
	if err := d.subs.SetPendingLimits(blobQueue, -1); err != nil {
		return err
	}
	return d.nc.Flush()
}

func (d *desk) close() {
	if d.subs != nil {
		_ = d.subs.Unsubscribe() // the connection may be gone
	}
}
