package eventlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Log reads the event log.
type Log struct {
	nc         *nats.Conn
	js         jetstream.JetStream
	stream     jetstream.Stream
	partitions int
	blobs      *Blobs
}

// Partitions is the number of partitions, fixed when the log was made.
func (l *Log) Partitions() int { return l.partitions }

// Bounds returns the sequences of the first and last event (last < first when the log is empty).
func (l *Log) Bounds(ctx context.Context) (first, last uint64, err error) {
	i, err := l.stream.Info(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("event log: %w", err)
	}
	return i.State.FirstSeq, i.State.LastSeq, nil
}

// Info returns the state of the stream.
func (l *Log) Info(ctx context.Context) (*jetstream.StreamInfo, error) { return l.stream.Info(ctx) }

// Get returns one event whole; false when the log no longer holds it.
func (l *Log) Get(ctx context.Context, seq uint64) (Record, bool, error) {
	m, err := l.stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) { // a replica that is behind says so, too
		var ok bool
		if m, ok, err = ofLeader(ctx, l.nc, StreamEvents, question{Seq: seq}); err == nil && !ok {
			return Record{}, false, nil
		}
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("event %d: %w", seq, err)
	}
	r, err := recordOf(m)
	if err == nil {
		r, err = l.Whole(ctx, r)
	}
	return r, err == nil, err
}

// SeqAt returns the sequence of the last event stored before a time; 0 when there is none.
func (l *Log) SeqAt(ctx context.Context, t time.Time) (uint64, error) {
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	for lo, hi := first, last+1; ; { // the first event at or after t
		if lo >= hi {
			return lo - min(lo, 1), nil
		}
		mid := lo + (hi-lo)/2
		r, ok, err := ofLeader(ctx, l.nc, StreamEvents, question{Seq: mid, NextOf: Prefix + ">"}) // the first one at or after mid
		switch {
		case err != nil:
			return 0, fmt.Errorf("event log at %s: %w", t.Format(time.RFC3339), err)
		case !ok:
			hi = mid
		case r.Time.Before(t):
			lo = r.Sequence + 1
		default:
			hi = mid
		}
	}
}

// LastOf returns a producer's last event; false when the log holds none.
func (l *Log) LastOf(ctx context.Context, producer string) (Record, bool, error) {
	m, ok, err := ofLeader(ctx, l.nc, StreamEvents, question{LastOf: Prefix + producer + ".>"})
	if err != nil {
		return Record{}, false, fmt.Errorf("last event of %s: %w", producer, err)
	}
	if !ok {
		return Record{}, false, nil
	}
	r, err := recordOf(m)
	return r, err == nil, err
}

// Producers lists the producers that have events in the log.
func (l *Log) Producers(ctx context.Context) ([]string, error) {
	i, err := l.stream.Info(ctx, jetstream.WithSubjectFilter(Prefix+">"))
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	seen := map[string]bool{}
	for subject := range i.State.Subjects {
		if s, err := ParseSubject(subject); err == nil {
			seen[s.Producer] = true
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// Whole fetches the object of a record whose payload lives in the object store.
func (l *Log) Whole(ctx context.Context, r Record) (Record, error) {
	if r.Blob == "" {
		return r, nil
	}
	data, err := l.blobs.Get(ctx, r.Blob)
	if err != nil {
		return r, fmt.Errorf("event %d: %w", r.Seq, err)
	}
	r.Data, r.Blob = data, ""
	return r, nil
}
