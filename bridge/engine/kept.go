package engine

import (
	"context"

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

// put stores what an enricher answered, and returns when it is durable.
func put(ctx context.Context, in *intake.Intake, changes []bridge.Change) error {
	if err := in.Put(ctx, changes...); err != nil {
		return err
	}
	return in.Flush(ctx)
}
