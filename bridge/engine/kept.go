package engine

import (
	"context"
	"slices"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/delivery"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/intake"
)

// letters stores a consumer's dead letters.
type letters struct{ store *eventlog.Store }

func (p letters) Store(ctx context.Context, l delivery.Letter) error {
	return keepLetter(ctx, p.store, l)
}

// keepLetter stores a letter; a large object goes to the object store, as it does in the log.
func keepLetter(ctx context.Context, s *eventlog.Store, l delivery.Letter) (err error) {
	d := letterOf(s, l)
	if len(d.Raw) > eventlog.MaxInline {
		if d.Blob, err = s.Blobs.Put(ctx, l.Event.TLP, d.Raw); err != nil {
			return err
		}
		d.Raw = nil
	}
	return s.Letters.Store(ctx, d)
}

func letterOf(s *eventlog.Store, l delivery.Letter) eventlog.Letter {
	e := l.Event
	subject := eventlog.Subject{Producer: e.Producer, TLP: e.TLP, Op: e.Op, Type: e.Object.Type(), Partition: eventlog.Partition(e.Object.ID(), s.Log.Partitions())}
	d := eventlog.Letter{
		Name: l.Consumer, Side: "consumer", Class: l.Reason, Reason: l.Error, Attempts: l.Attempts,
		ID: e.Object.ID(), EventSeq: e.Seq, EventID: e.ID, Subject: subject.String(), EventTime: e.Time, Raw: e.Object.Raw(),
	}
	if c := e.Context.JSON(); len(c) > 2 {
		d.Context = string(c)
	}
	return d
}

// orders keeps the replays of a consumer.
type orders struct {
	state    *eventlog.State
	consumer string
}

func (o orders) prefix() string { return "replay." + o.consumer + "." }

func (o orders) Save(ctx context.Context, r delivery.Order) error {
	_, err := o.state.Put(ctx, o.prefix()+r.ID, r)
	return err
}

func (o orders) Remove(ctx context.Context, id string) error {
	return o.state.Delete(ctx, o.prefix()+id)
}

func (o orders) List(ctx context.Context) ([]delivery.Order, error) {
	keys, err := o.state.Keys(ctx, o.prefix())
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	var all []delivery.Order
	for _, k := range keys {
		var r delivery.Order
		if rev, err := o.state.Get(ctx, k, &r); err != nil {
			return nil, err
		} else if rev > 0 {
			all = append(all, r)
		}
	}
	return all, nil
}

// put stores what an enricher answered, and returns when it is durable.
func put(ctx context.Context, in *intake.Intake, changes []bridge.Change) error {
	if err := in.Put(ctx, changes...); err != nil {
		return err
	}
	return in.Flush(ctx)
}
