package eventlog

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// heartbeat is how often the server says that it is there; two that are missing make the reader begin again where it stands, on
// another server of the cluster when its own is gone.
const heartbeat = 5 * time.Second

// ordered opens an ordered consumer whose name begins with the reader's, and returns its messages and a function that ends it. It
// returns nil messages when nothing matches now.
func ordered(ctx context.Context, s jetstream.Stream, name string, cfg jetstream.OrderedConsumerConfig, follow bool) (jetstream.MessagesContext, func(), error) {
	id := nuid.Next()
	cfg.NamePrefix = name + "-" + id[len(id)-6:] // a name of its own: a consumer that still exists would be taken over where it stands
	cfg.InactiveThreshold = 30 * time.Second
	c, err := s.OrderedConsumer(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	forget := func() {
		if i := c.CachedInfo(); i != nil {
			gone, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = s.DeleteConsumer(gone, i.Name) // else it goes by itself after the threshold
		}
	}
	if i := c.CachedInfo(); !follow && i != nil && i.NumPending == 0 {
		forget()
		return nil, func() {}, nil
	}
	it, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(1000, 8<<20), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		forget()
		return nil, nil, err
	}
	return it, func() { it.Stop(); forget() }, nil
}
