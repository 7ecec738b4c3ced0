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

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// Headers of an event. NATS keeps their case, and so must readers.
const (
	HeaderMsgID       = "Nats-Msg-Id"
	HeaderID          = "Stix-Id"
	HeaderModified    = "Stix-Modified"
	HeaderContentType = "Content-Type"
	HeaderContext     = "Stix-Context"
	HeaderBlob        = "Stix-Blob"
	HeaderCursor      = "Stixbridge-Cursor"

	ContentType = "application/stix+json;version=2.1"
)

const (
	headerLastSubjectSeq = "Nats-Expected-Last-Subject-Sequence"
	headerLastSubject    = "Nats-Expected-Last-Subject-Sequence-Subject"
)

// Record is an event as the log stores it.
type Record struct {
	Subject
	Seq     uint64
	Time    time.Time
	EventID string
	ID      string // STIX id
	Context string // raw JSON, may be empty
	Cursor  string // raw JSON, may be empty
	Blob    string // bucket/name of the whole object, may be empty
	Data    []byte // the object, or its head when Blob is set
}

func one(h nats.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func record(subject string, h nats.Header, data []byte) (r Record, err error) {
	if r.Subject, err = ParseSubject(subject); err != nil {
		return r, err
	}
	r.EventID, r.ID = one(h, HeaderMsgID), one(h, HeaderID)
	r.Context, r.Cursor, r.Blob = one(h, HeaderContext), one(h, HeaderCursor), one(h, HeaderBlob)
	r.Data = data
	return r, nil
}

func recordOf(m *jetstream.RawStreamMsg) (Record, error) {
	r, err := record(m.Subject, m.Header, m.Data)
	r.Seq, r.Time = m.Sequence, m.Time.UTC()
	return r, err
}

// Event makes the record an event; the object must be whole (see Log.Whole).
func (r Record) Event() (bridge.Event, error) {
	e := bridge.Event{Seq: r.Seq, Time: r.Time, ID: r.EventID, Producer: r.Producer, TLP: r.TLP, Op: r.Op, Attempt: 1}
	var err error
	if e.Object, err = stix.Parse(r.Data); err != nil {
		return e, fmt.Errorf("event %d: %w", r.Seq, err)
	}
	if r.Context != "" {
		if e.Context, err = parseContext(r.Context); err != nil {
			return e, fmt.Errorf("event %d: header %s: %w", r.Seq, HeaderContext, err)
		}
	}
	return e, nil
}

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
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Record{}, false, nil
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
		r, err := l.stream.GetMsg(ctx, mid, jetstream.WithGetMsgSubject(Prefix+">")) // the first one at or after mid
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			hi = mid
		case err != nil:
			return 0, fmt.Errorf("event log at %s: %w", t.Format(time.RFC3339), err)
		case r.Time.Before(t):
			lo = r.Sequence + 1
		default:
			hi = mid
		}
	}
}

// LastOf returns a producer's last event; false when the log holds none.
func (l *Log) LastOf(ctx context.Context, producer string) (Record, bool, error) {
	m, err := l.stream.GetLastMsgForSubject(ctx, Prefix+producer+".>")
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("last event of %s: %w", producer, err)
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
