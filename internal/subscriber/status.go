package subscriber

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// State is a subscriber and how far it is.
type State struct {
	Subscriber
	Health     string    `json:"health"`
	Error      string    `json:"error,omitempty"`
	Position   uint64    `json:"position"`    // every event for it up to here is acknowledged
	Lag        uint64    `json:"lag"`         // events for it that are not acknowledged
	Unacked    int       `json:"unacked"`     // of them delivered
	OldestAge  float64   `json:"oldest_age"`  // seconds since the oldest of them was stored; 0 also where it would take too long to find
	Delivered  uint64    `json:"delivered"`   // deliveries, repetitions included
	Waiting    int       `json:"waiting"`     // open pull requests: it is there and has everything
	LastActive time.Time `json:"last_active"` // it received or acknowledged something
}

// States tells how far the subscribers are, by name.
func States(ctx context.Context, store *eventlog.Store) (all []State, err error) {
	list, err := List(ctx, store.State)
	if err != nil {
		return nil, err
	}
	_, last, err := store.Log.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		st, err := state(ctx, store, s, last)
		if err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	return all, nil
}

func state(ctx context.Context, store *eventlog.Store, s Subscriber, last uint64) (st State, err error) {
	st = State{Subscriber: s, Health: bridge.Idle}
	st.Hash = ""
	c, err := store.JS.Consumer(ctx, eventlog.StreamEvents, s.Name)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		st.Health, st.Error = bridge.Unhealthy, "its durable is gone: remove the subscriber and add it again"
		return st, nil
	case err != nil:
		return st, fmt.Errorf("position of %s: %w", s.Name, err)
	}
	i := c.CachedInfo()
	st.Unacked, st.Waiting, st.Delivered = i.NumAckPending, i.NumWaiting, i.Delivered.Consumer
	st.Lag = i.NumPending + uint64(i.NumAckPending)
	for _, t := range []*time.Time{i.Delivered.Last, i.AckFloor.Last} {
		if t != nil && t.After(st.LastActive) {
			st.LastActive = t.UTC()
		}
	}
	st.Position = i.AckFloor.Stream
	if st.Lag == 0 {
		st.Position = max(last, st.Position)
	}
	switch {
	case !within(s, i.Config):
		st.Health, st.Error = bridge.Refused, errWide.Error()+"; it is not let in"
	case st.Waiting > 0 || st.Unacked > 0:
		st.Health = bridge.Healthy
	}
	if st.Lag > 0 {
		st.OldestAge, err = oldest(ctx, store, s, i.AckFloor.Stream+1)
	}
	return st, err
}

// oldest finds when the first event from a sequence on that a subscriber may see was stored, in seconds before now. Each filter costs a
// question; with many it is not asked.
func oldest(ctx context.Context, store *eventlog.Store, s Subscriber, from uint64) (float64, error) {
	filters := s.Filters()
	if len(filters) > 16 {
		return 0, nil
	}
	stream, err := store.JS.Stream(ctx, eventlog.StreamEvents)
	if err != nil {
		return 0, err
	}
	var first *jetstream.RawStreamMsg
	for _, f := range filters {
		m, err := stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(f))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("position of %s: %w", s.Name, err)
		}
		if first == nil || m.Sequence < first.Sequence {
			first = m
		}
	}
	if first == nil {
		return 0, nil
	}
	return time.Since(first.Time).Seconds(), nil
}

// Status shows the subscribers among the consumers: kind and role "subscriber". Extra holds what only they have.
func Status(ctx context.Context, store *eventlog.Store) (all []bridge.ConsumerStatus, err error) {
	states, err := States(ctx, store)
	for _, s := range states {
		all = append(all, bridge.ConsumerStatus{
			Name: s.Name, Kind: "subscriber", Role: "subscriber", Health: s.Health, Error: s.Error, Position: s.Position, Lag: s.Lag,
			OldestAge: s.OldestAge, InFlight: s.Unacked, Delivered: s.Delivered, MaxTLP: s.MaxTLP.String(),
			Extra: map[string]any{"filter": s.Filters(), "last_active": s.LastActive, "waiting": s.Waiting},
		})
	}
	return all, err
}
