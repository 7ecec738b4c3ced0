package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/delivery"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/stix"
)

// logPort lends the event log to a runner.
type logPort struct {
	log     *eventlog.Log
	name    string // the consumer's: it shows in nats consumer report
	skipped *skipped
}

func (p logPort) Read(ctx context.Context, from, to uint64, f delivery.Filter, yield func(delivery.Item) error) error {
	each := func(r eventlog.Record) error {
		if to > 0 && r.Seq > to {
			return errReadEnd
		}
		e, err := r.Event()
		if err != nil {
			return err
		}
		return yield(delivery.Item{Event: e, Partition: r.Partition})
	}
	filter, gate := narrow(f, p.log.Partitions())
	if to > 0 {
		err := p.log.Read(ctx, p.name, from, eventlog.ReadOptions{Filter: filter, To: to}, each)
		if errors.Is(err, errReadEnd) {
			return nil
		}
		return err
	}
	p.skipped.begin(gate, from)
	return p.log.Read(ctx, p.name, from, eventlog.ReadOptions{Filter: filter, Follow: true, Mark: func(seq uint64) error {
		p.skipped.saw(seq, true)
		return yield(delivery.Item{Mark: seq})
	}}, func(r eventlog.Record) error {
		p.skipped.saw(r.Seq, false)
		return each(r)
	})
}

var errReadEnd = errors.New("end of the span")

func (p logPort) Get(ctx context.Context, seq uint64) (bridge.Event, bool, error) {
	r, ok, err := p.log.Get(ctx, seq)
	if err != nil || !ok {
		return bridge.Event{}, false, err
	}
	e, err := r.Event()
	return e, err == nil, err
}

func (p logPort) FirstSeq(ctx context.Context) (uint64, error) {
	first, _, err := p.log.Bounds(ctx)
	return max(first, 1), err
}

func (p logPort) LastSeq(ctx context.Context) (uint64, error) {
	_, last, err := p.log.Bounds(ctx)
	return last, err
}

// latestPort lends STIX_LATEST to a runner.
type latestPort struct {
	store  *eventlog.Store
	name   string
	lookup *lookups
}

func (p latestPort) Of(ctx context.Context, typ, id string) ([]delivery.Assertion, error) {
	entries, err := p.lookup.of(ctx, eventlog.Key{Type: typ, ID: id})
	if err != nil {
		return nil, err
	}
	all := make([]delivery.Assertion, 0, len(entries))
	for _, e := range entries {
		a, err := p.assertion(ctx, e)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func (p latestPort) assertion(ctx context.Context, e eventlog.Entry) (a delivery.Assertion, err error) {
	if e, err = p.store.Latest.Fetch(ctx, e); err != nil {
		return a, err
	}
	a = delivery.Assertion{Producer: e.Producer, Seq: e.Seq, EventID: e.EventID, Time: e.Time, Op: e.Op, TLP: e.TLP}
	if a.Object, err = stix.Parse(e.Data); err != nil {
		return a, fmt.Errorf("object %s of %s: %w", e.ID, e.Producer, err)
	}
	a.Context, err = bridge.ParseContext([]byte(e.Context))
	return a, err
}

// settleLimit bounds the wait for a producer that cannot catch up (its own status says why): it must not hold up every consumer.
const settleLimit = 30 * time.Second

func (p latestPort) Settle(ctx context.Context, producer string, seq uint64) error {
	if producer != "" {
		return p.settle(ctx, producer, seq)
	}
	names, err := p.store.Log.Producers(ctx)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for _, name := range names {
		last, ok, err := p.store.Log.LastOf(ctx, name)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := p.settle(limit, name, last.Seq); err != nil && limit.Err() == nil {
			return err
		}
	}
	return ctx.Err()
}

func (p latestPort) settle(ctx context.Context, producer string, seq uint64) error {
	for {
		c, err := p.store.Latest.Checkpoint(ctx, producer)
		if err != nil || c.Seq >= seq {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond): // the projection follows its event within one batch
		}
	}
}

func (p latestPort) Scan(ctx context.Context, after uint64, yield func(delivery.Assertion, uint64) error) error {
	return p.store.Latest.Scan(ctx, p.name, eventlog.LatestFilter("*", "*"), after, false, func(e eventlog.Entry) error {
		a, err := p.assertion(ctx, e)
		if err != nil {
			return err
		}
		return yield(a, e.At)
	})
}
