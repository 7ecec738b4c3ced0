package eventlog

import (
	"context"

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

// Read yields events from a sequence on, in log order. The name shows in nats consumer report. An error of yield ends it.
func (l *Log) Read(ctx context.Context, name string, from uint64, opt ReadOptions, yield func(Record) error) error {
	o := ordered{nc: l.nc, stream: l.stream, name: name, filter: opt.Filter, heads: opt.Heads, at: max(from, 1) - 1}
	each := func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		r, err := record(m.Subject(), m.Headers(), m.Data())
		if err != nil {
			return nil // a subject of a later contract; readers ignore what they do not know
		}
		r.Seq, r.Time = meta.Sequence.Stream, meta.Timestamp.UTC()
		if !opt.Heads {
			if r, err = l.Whole(ctx, r); err != nil {
				return err
			}
		}
		return yield(r)
	}
	if opt.Follow {
		return o.follow(ctx, opt.Mark, each)
	}
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return err
	}
	end := last
	if opt.To > 0 {
		end = min(end, opt.To)
	}
	if last < first || end < from {
		return nil
	}
	return o.until(ctx, end, each)
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
