package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/delivery"
	"github.com/stixbridge/stixbridge/stix"
)

func enrich(name string, en bridge.Enricher, publish func(context.Context, bridge.Event, []stix.Object) error) bridge.Sink {
	return bridge.Each(func(ctx context.Context, e bridge.Event) error {
		if e.Producer == name || slices.Contains(e.Context.Hops, name) || len(e.Context.Hops) >= 4 {
			return nil
		}
		if e.Retracts() {
			return publish(ctx, e, nil)
		}
		objs, err := en.Enrich(ctx, e)
		if err != nil || len(objs) == 0 {
			return err
		}
		return publish(ctx, e, objs)
	})
}

type replayer interface {
	Replay(context.Context, delivery.Order) error
	Redrive(context.Context, bridge.Event) (string, error)
}

var errNotYet = errors.New("not built yet")

func replay(r *delivery.Runner, ctx context.Context, o delivery.Order) error {
	if p, ok := any(r).(replayer); ok {
		return p.Replay(ctx, o)
	}
	return errNotYet
}

func redrive(r *delivery.Runner, ctx context.Context, e bridge.Event) (string, error) {
	if p, ok := any(r).(replayer); ok {
		return p.Redrive(ctx, e)
	}
	return "", errNotYet
}
