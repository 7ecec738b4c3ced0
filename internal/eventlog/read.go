package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ReadOptions narrow a read.
type ReadOptions struct {
	Filter []string // subject filters (see Filter); nil: everything
	Follow bool     // wait for more events until ctx ends
	Heads  bool     // headers only: Data is empty, Blob stays a reference
	To     uint64   // without Follow: the last sequence wanted; 0: the log's last one when the read began
	// Mark is told, with Follow, that nothing in the filter is left up to a sequence, so that a position can pass what the filter left out.
	Mark func(seq uint64) error
}

// markEvery is how often a reader with a filter looks how far the log has gone without it.
const markEvery = time.Second

// Read yields events from a sequence on, in log order. The name shows in nats consumer report. An error of yield ends it.
func (l *Log) Read(ctx context.Context, name string, from uint64, opt ReadOptions, yield func(Record) error) error {
	end := opt.To
	if !opt.Follow {
		first, last, err := l.Bounds(ctx)
		if err != nil {
			return err
		}
		if end == 0 || end > last {
			end = last
		}
		if last < first || end < from {
			return nil
		}
	}
	it, stop, err := ordered(ctx, l.stream, name, jetstream.OrderedConsumerConfig{FilterSubjects: opt.Filter,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1), HeadersOnly: opt.Heads}, opt.Follow)
	if err != nil {
		return fmt.Errorf("read the event log: %w", err)
	}
	defer stop()
	if it == nil {
		return nil // nothing matches the filter
	}
	m := marker{log: l, mark: opt.Mark, passed: from - min(from, 1)}
	period := &period{parent: ctx, ends: opt.Mark != nil}
	defer period.stop()
	for {
		next := period.current()
		msg, err := it.Next(jetstream.NextContext(next))
		if err != nil {
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case next.Err() != nil:
				if err := m.quiet(ctx); err != nil {
					return err
				}
				continue
			}
			return fmt.Errorf("read the event log: %w", err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("read the event log: %w", err)
		}
		seq := meta.Sequence.Stream
		if end > 0 && seq > end {
			return nil
		}
		r, err := record(msg.Subject(), msg.Headers(), msg.Data())
		r.Seq, r.Time = seq, meta.Timestamp.UTC()
		if err == nil { // else: a subject of a later contract; readers ignore what they do not know
			if !opt.Heads {
				if r, err = l.Whole(ctx, r); err != nil {
					return err
				}
			}
			if err := yield(r); err != nil {
				return err
			}
		}
		m.saw(seq)
		if end > 0 && (seq >= end || meta.NumPending == 0) {
			return nil
		}
	}
}

// period is a context that ends every markEvery: one deadline for many messages, since making one costs as much as reading a message.
type period struct {
	parent context.Context
	ends   bool
	ctx    context.Context
	cancel context.CancelFunc
}

func (p *period) current() context.Context {
	if !p.ends {
		return p.parent
	}
	if p.ctx == nil || p.ctx.Err() != nil {
		p.stop()
		p.ctx, p.cancel = context.WithTimeout(p.parent, markEvery)
	}
	return p.ctx
}

func (p *period) stop() {
	if p.cancel != nil {
		p.cancel()
	}
}

// marker tells a reader with a filter how far the log has gone without it. An end of the log counts only when it was seen before a
// whole period without an event: an event of the filter below it would have been delivered meanwhile.
type marker struct {
	log    *Log
	mark   func(uint64) error
	busy   bool   // something came in this period
	end    uint64 // the log's end at the last quiet moment; 0: something came since
	passed uint64
}

func (m *marker) saw(seq uint64) { m.busy, m.end, m.passed = true, 0, max(m.passed, seq) }

func (m *marker) quiet(ctx context.Context) error {
	if m.busy {
		m.busy = false
		return nil
	}
	if m.end > m.passed {
		m.passed = m.end
		if err := m.mark(m.end); err != nil {
			return err
		}
	}
	_, last, err := m.log.Bounds(ctx)
	if err != nil {
		return nil // the next period looks again
	}
	m.end = last
	return nil
}

// Filter returns the subject filters for producers and types; nil means everything.
func Filter(producers, types []string) []string {
	any := []string{"*"}
	if len(producers) == 0 {
		producers = any
	}
	if len(types) == 0 {
		types = any
	}
	if len(producers)*len(types) > 64 { // the server compares filters one by one; beyond this the reader filters
		types = any
	}
	var f []string
	for _, p := range producers {
		for _, t := range types {
			if p == "*" && t == "*" {
				return nil
			}
			f = append(f, Prefix+p+".*.*."+t+".*")
		}
	}
	return f
}
