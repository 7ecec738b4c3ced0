package delivery

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// MaxHops is through how many enrichers knowledge may go.
const MaxHops = 4

// Enriching is an enricher as the sink that a runner drives.
type Enriching struct {
	name    string
	inner   bridge.Enricher
	publish Publish
	looped  atomic.Uint64
	made    atomic.Uint64
}

// Publish puts an enricher's answer to an event into the event log, under the enricher's name, with the TLP of the event and its
// name added to the hops. The objects are all that the enricher has to say about the event's object from now on: what it said
// before and does not say any more is deleted, all of it when there are none. It returns when the answer is durable.
type Publish func(ctx context.Context, e bridge.Event, objs []stix.Object) error

// Enrich makes a sink of an enricher. It never shows the enricher what the enricher itself made, or what went through it before,
// and nothing that went through MaxHops others. An object that is gone takes the answer with it, or the answer would keep it alive.
func Enrich(name string, e bridge.Enricher, publish Publish) *Enriching {
	return &Enriching{name: name, inner: e, publish: publish}
}

// Deliver asks the enricher about each event and publishes its answers.
func (s *Enriching) Deliver(ctx context.Context, batch []bridge.Event) error {
	return bridge.Each(s.one).Deliver(ctx, batch)
}

func (s *Enriching) one(ctx context.Context, e bridge.Event) error {
	if e.Producer == s.name || slices.Contains(e.Context.Hops, s.name) || len(e.Context.Hops) >= MaxHops {
		s.looped.Add(1)
		return nil
	}
	var objs []stix.Object
	if !e.Retracts() {
		var err error
		if objs, err = s.inner.Enrich(ctx, e); err != nil {
			return err
		}
	}
	if err := s.publish(ctx, e, objs); err != nil {
		return err
	}
	s.made.Add(uint64(len(objs)))
	return nil
}

// Unwrap returns the enricher, for what else it can do.
func (s *Enriching) Unwrap() any { return s.inner }

// Report adds what the adapter knows to the enricher's own figures.
func (s *Enriching) Report() map[string]any {
	m := map[string]any{}
	if r, ok := s.inner.(bridge.Reporter); ok {
		m = r.Report()
	}
	m["made"], m["skipped_own"] = s.made.Load(), s.looped.Load()
	return m
}

// as finds an optional interface of a sink, or of what it wraps.
func as[T any](sink any) (T, bool) {
	for sink != nil {
		if v, ok := sink.(T); ok {
			return v, true
		}
		w, ok := sink.(interface{ Unwrap() any })
		if !ok {
			break
		}
		sink = w.Unwrap()
	}
	var zero T
	return zero, false
}
