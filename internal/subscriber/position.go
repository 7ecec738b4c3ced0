package subscriber

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// Start says where a position begins.
type Start struct {
	All  bool      // at the oldest event of the log
	Time time.Time // at the first event stored at or after it; zero, without All: at the next one
}

// ParseStart reads all, new or a time in RFC 3339.
func ParseStart(text string) (s Start, err error) {
	switch text {
	case "all":
		return Start{All: true}, nil
	case "new":
		return Start{}, nil
	}
	if s.Time, err = time.Parse(time.RFC3339, text); err != nil {
		return s, fmt.Errorf("%q: want all, new, or a time such as 2026-11-01T00:00:00Z", text)
	}
	return s, nil
}

// What the server refuses in a pull request; and after how long without an answer it delivers again.
const (
	maxBatch   = 1000
	maxExpires = 5 * time.Minute
	ackWait    = time.Minute
)

// ownerKey in the metadata of a durable says that it is a subscriber's.
const ownerKey = "stixbridge.subscriber"

func position(s Subscriber, start Start) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable: s.Name, Description: "stixbridge subscriber, up to TLP " + s.MaxTLP.String(), Metadata: map[string]string{ownerKey: s.Name},
		FilterSubjects: s.Filters(), AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1,
		MaxAckPending: s.Limits.AckPending, MaxWaiting: s.Limits.Waiting, MaxRequestBatch: maxBatch, MaxRequestExpires: maxExpires,
		DeliverPolicy: jetstream.DeliverNewPolicy,
	}
	switch {
	case start.All:
		c.DeliverPolicy = jetstream.DeliverAllPolicy
	case !start.Time.IsZero():
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &start.Time
	}
	return c
}

// makePosition makes the durable. One that is left from a removal that was interrupted is made anew.
func makePosition(ctx context.Context, store *eventlog.Store, s Subscriber, start Start) error {
	have, err := store.JS.Consumer(ctx, eventlog.StreamEvents, s.Name)
	switch {
	case err == nil && have.CachedInfo().Config.Metadata[ownerKey] == "":
		return fmt.Errorf("stream %s has a consumer %s that is no subscriber's; choose another name", eventlog.StreamEvents, s.Name)
	case err == nil:
		if err := dropPosition(ctx, store, s.Name); err != nil {
			return err
		}
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return fmt.Errorf("position of %s: %w", s.Name, err)
	}
	if _, err := store.JS.CreateConsumer(ctx, eventlog.StreamEvents, position(s, start)); err != nil {
		return fmt.Errorf("position of %s: %w", s.Name, err)
	}
	return nil
}

func dropPosition(ctx context.Context, store *eventlog.Store, name string) error {
	err := store.JS.DeleteConsumer(ctx, eventlog.StreamEvents, name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("position of %s: %w", name, err)
	}
	return nil
}

// within reports whether a durable gives no more than the record allows: somebody may have changed it, and the subscriber must not reach it then.
func within(s Subscriber, c jetstream.ConsumerConfig) bool {
	subjects := c.FilterSubjects
	if c.FilterSubject != "" {
		subjects = append(subjects, c.FilterSubject)
	}
	if len(subjects) == 0 {
		return false
	}
	allowed := map[string]bool{}
	for _, f := range s.Filters() {
		allowed[f] = true
	}
	for _, f := range subjects {
		if !allowed[f] && !s.Sees(literal(f)) {
			return false
		}
	}
	return true
}

// look holds a durable against its record. An operator may have widened it by hand, or deleted it.
func look(ctx context.Context, store *eventlog.Store, s Subscriber) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := store.JS.Consumer(ctx, eventlog.StreamEvents, s.Name)
	if err != nil {
		return fmt.Errorf("position of %s: %w", s.Name, err)
	}
	if !within(s, c.CachedInfo().Config) {
		return fmt.Errorf("%w: remove %s and add it again", errWide, s.Name)
	}
	return nil
}

// errWide says that a subscriber must not be served.
var errWide = errors.New("the durable's filter is wider than the subscriber's ceiling")

// literal is a filter with its free tokens made a name that no list of producers or types holds.
func literal(filter string) string {
	b := []byte(filter)
	for i, c := range b {
		if c == '*' {
			b[i] = '0'
		}
	}
	return string(b)
}
