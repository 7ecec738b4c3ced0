package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// Headers of an entry of STIX_LATEST.
const (
	headerDigest     = "Digest"      // hex of the content's digest
	headerSeq        = "Seq"         // sequence of the event in STIX
	headerEvent      = "Event"       // its event id
	headerSubject    = "Subject"     // its subject
	headerValidUntil = "Valid-Until" // of the object
	headerAlias      = "Alias"       // the source's own name of the object
	headerLog        = "Log-Seq"     // checkpoint: everything of this producer up to here is projected
	headerStamp      = "Stamp"       // time of the event, RFC 3339
	headerTTL        = "Nats-TTL"
)

// Entry is what one producer last asserted about one object.
type Entry struct {
	Subject           // of its last event; Op delete, expire or retract: no longer asserted
	ID         string // STIX id
	EventID    string
	Seq        uint64 // in STIX
	Time       time.Time
	Digest     string
	ValidUntil string
	Alias      string
	Context    string // of the last event: origin, hops and what else is needed later
	Blob       string
	Data       []byte
	At         uint64 // sequence in STIX_LATEST
}

// Asserted reports whether the producer still holds the object to be there.
func (e Entry) Asserted() bool {
	return e.Op != bridge.Delete && e.Op != bridge.Retract && e.Op != bridge.Expire
}

// Known reports whether there is an entry at all.
func (e Entry) Known() bool { return e.Seq != 0 }

// Object parses the entry's object.
func (e Entry) Object() (stix.Object, error) { return stix.Parse(e.Data) }

// Message is the entry as STIX_LATEST stores it.
func (e Entry) Message() *nats.Msg {
	h := nats.Header{
		HeaderID:      {e.ID},
		headerDigest:  {e.Digest},
		headerSeq:     {strconv.FormatUint(e.Seq, 10)},
		headerEvent:   {e.EventID},
		headerSubject: {e.Subject.String()},
		headerStamp:   {e.Time.UTC().Format(time.RFC3339Nano)},
	}
	for _, more := range [...]struct{ key, value string }{{headerValidUntil, e.ValidUntil}, {headerAlias, e.Alias}, {HeaderContext, e.Context}, {HeaderBlob, e.Blob}} {
		if more.value != "" {
			h[more.key] = []string{more.value}
		}
	}
	return &nats.Msg{Subject: LatestSubject(e.Type, e.ID, e.Producer), Header: h, Data: e.Data}
}

func entry(subject string, h nats.Header, data []byte, at uint64) (e Entry, err error) {
	if e.Subject, err = ParseSubject(one(h, headerSubject)); err != nil {
		return e, fmt.Errorf("%s message %d: %w", StreamLatest, at, err)
	}
	e.ID, e.EventID, e.Digest = one(h, HeaderID), one(h, headerEvent), one(h, headerDigest)
	e.ValidUntil, e.Alias, e.Context, e.Blob = one(h, headerValidUntil), one(h, headerAlias), one(h, HeaderContext), one(h, HeaderBlob)
	if e.Seq, err = strconv.ParseUint(one(h, headerSeq), 10, 64); err != nil {
		return e, fmt.Errorf("%s message %d (%s): header %s: %w", StreamLatest, at, subject, headerSeq, err)
	}
	e.Time, _ = time.Parse(time.RFC3339Nano, one(h, headerStamp))
	e.Data, e.At = data, at
	return e, nil
}

// Latest reads STIX_LATEST.
type Latest struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	blobs  *Blobs
	idle   chan inbox // may be nil

	mu     sync.Mutex
	anchor anchor
}

// anchor is the newest checkpoint that this process knows to be stored. Any replica answers a look-up; one that has not stored the anchor
// is behind what was read or written here before, and is not listened to.
type anchor struct {
	subject string
	seq     uint64
}

// Saw takes note of a stored checkpoint of a producer, at a sequence of STIX_LATEST: no look-up after it is answered from before it.
func (l *Latest) Saw(producer string, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq > l.anchor.seq {
		l.anchor = anchor{checkpointSubject(producer), seq}
	}
}

// anchored is what a look-up must be as new as; the zero value with one replica, which cannot be behind.
func (l *Latest) anchored() anchor {
	if l.stream.CachedInfo().Config.Replicas < 2 {
		return anchor{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.anchor
}

// Info returns the state of the stream.
func (l *Latest) Info(ctx context.Context) (*jetstream.StreamInfo, error) { return l.stream.Info(ctx) }

// maxLookup bounds one multi-get; the server refuses more than 1024 matches.
const maxLookup = 500

// Lookup returns the entries behind subjects (exact ones, or patterns with few matches), keyed by subject. Blobs stay
// references (see Fetch). It blocks for one round trip per 500 subjects.
func (l *Latest) Lookup(ctx context.Context, subjects []string) (map[string]Entry, error) {
	found := make(map[string]Entry, len(subjects))
	for len(subjects) > 0 {
		n := min(maxLookup, len(subjects))
		if err := l.multi(ctx, subjects[:n], found); err != nil {
			return nil, err
		}
		subjects = subjects[n:]
	}
	return found, nil
}

func (l *Latest) multi(ctx context.Context, subjects []string, found map[string]Entry) error {
	a := l.anchored()
	if a.seq > 0 {
		subjects = append(slices.Clone(subjects), a.subject)
	}
	req, err := json.Marshal(map[string]any{"multi_last": subjects})
	if err != nil {
		return err
	}
	return l.direct(ctx, a, req, func(m *nats.Msg) error {
		subject := one(m.Header, jetstream.SubjectHeader)
		if subject == a.subject {
			return nil
		}
		at, _ := strconv.ParseUint(one(m.Header, jetstream.SequenceHeader), 10, 64)
		e, err := entry(subject, m.Header, m.Data, at)
		found[subject] = e
		return err
	})
}

// direct sends a batched direct get and yields its messages up to the end-of-batch mark. A request during an election is
// never answered or answered 503, a replica may be behind: it is sent again, for up to 30 s. What an answer that does not count had yielded
// is yielded again.
func (l *Latest) direct(ctx context.Context, a anchor, req []byte, yield func(*nats.Msg) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		upTo, err := l.ask(ctx, req, yield)
		wait := 100 * time.Millisecond
		if err == nil {
			if upTo >= a.seq {
				return nil
			}
			gone, gerr := l.gone(ctx, a)
			if gone || gerr != nil {
				return gerr
			}
			err, wait = errBehind, 10*time.Millisecond
		}
		if !errors.Is(err, errNoAnswer) && !errors.Is(err, errBehind) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", StreamLatest, err)
		case <-time.After(wait):
		}
	}
}

// gone reports whether the anchor was forgotten since (its producer was erased).
func (l *Latest) gone(ctx context.Context, a anchor) (bool, error) {
	_, there, err := ofLeader(ctx, l.nc, StreamLatest, question{LastOf: a.subject})
	if err != nil || there {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.anchor == a {
		l.anchor = anchor{}
	}
	return true, nil
}

var (
	errNoAnswer = errors.New("no answer to a read")
	errBehind   = errors.New("every replica that answers is behind")
)

// ask sends one request and yields its messages; upTo is how far the replica that answered has stored the stream, 0 when it had nothing.
func (l *Latest) ask(ctx context.Context, req []byte, yield func(*nats.Msg) error) (upTo uint64, err error) {
	in, err := l.inbox()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", StreamLatest, err)
	}
	done := false
	defer func() {
		if done { // nothing more can come
			select {
			case l.idle <- in:
				return
			default:
			}
		}
		_ = in.sub.Unsubscribe()
	}()
	if err := l.nc.PublishMsg(&nats.Msg{Subject: "$JS.API.DIRECT.GET." + StreamLatest, Reply: in.subject, Data: req}); err != nil {
		return 0, fmt.Errorf("%s: %w", StreamLatest, err)
	}
	sub := in.sub
	for first := true; ; first = false {
		wait, cancel := context.WithTimeout(ctx, 5*time.Second)
		m, err := sub.NextMsgWithContext(wait)
		cancel()
		switch {
		case err != nil && first && ctx.Err() == nil:
			return 0, errNoAnswer
		case err != nil:
			return 0, fmt.Errorf("%s: read: %w", StreamLatest, err)
		}
		switch status := one(m.Header, "Status"); status {
		case "":
			if err := yield(m); err != nil {
				return 0, err
			}
		case "204", "404":
			done = true
			upTo, _ = strconv.ParseUint(one(m.Header, "Nats-UpTo-Sequence"), 10, 64)
			return upTo, nil
		case "503":
			return 0, errNoAnswer
		case "413":
			return 0, fmt.Errorf("%s: %w", StreamLatest, errTooMany)
		default:
			return 0, fmt.Errorf("%s: read: %s %s", StreamLatest, status, one(m.Header, "Description"))
		}
	}
}

// inbox is where answers to batched direct gets come in, one request at a time.
type inbox struct {
	subject string
	sub     *nats.Subscription
}

// inbox returns one that is not in use. They are kept: to subscribe and unsubscribe costs as much as a read of one entry.
func (l *Latest) inbox() (inbox, error) {
	select {
	case in := <-l.idle:
		return in, nil
	default:
	}
	in := inbox{subject: l.nc.NewRespInbox() + "x"} // not below the connection's own reply subscription
	var err error
	if in.sub, err = l.nc.SubscribeSync(in.subject); err != nil {
		return in, err
	}
	_ = in.sub.SetPendingLimits(-1, -1) // the server bounds a batch at 1024 messages
	return in, nil
}

// Of returns what each producer last asserted about an object.
func (l *Latest) Of(ctx context.Context, typ, id string) ([]Entry, error) {
	found, err := l.Lookup(ctx, []string{LatestOf(typ, id)})
	if err != nil {
		return nil, err
	}
	all := make([]Entry, 0, len(found))
	for _, e := range found {
		if e.ID == id {
			all = append(all, e)
		}
	}
	return all, nil
}

// At returns the entry at a sequence of STIX_LATEST; false when it was replaced since.
func (l *Latest) At(ctx context.Context, at uint64) (Entry, bool, error) {
	m, ok, err := ofLeader(ctx, l.nc, StreamLatest, question{Seq: at})
	if err != nil {
		return Entry{}, false, fmt.Errorf("%s: %w", StreamLatest, err)
	}
	if !ok {
		return Entry{}, false, nil
	}
	e, err := entry(m.Subject, m.Header, m.Data, m.Sequence)
	return e, err == nil, err
}

// Fetch fills in an object that lives in the object store.
func (l *Latest) Fetch(ctx context.Context, e Entry) (Entry, error) {
	if e.Blob == "" {
		return e, nil
	}
	data, err := l.blobs.Get(ctx, e.Blob)
	if err != nil {
		return e, fmt.Errorf("object %s: %w", e.ID, err)
	}
	e.Data = data
	return e, nil
}

// Scan yields the current entries after a sequence of STIX_LATEST, in its order, up to its end of that moment. The filter is
// latest.v1.<type>.<id>.<producer> with wildcards. With heads, Data is empty.
func (l *Latest) Scan(ctx context.Context, name, filter string, from uint64, heads bool, yield func(Entry) error) error {
	info, err := l.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", StreamLatest, err)
	}
	end := info.State.LastSeq
	if info.State.Msgs == 0 || end <= from {
		return nil
	}
	o := ordered{nc: l.nc, stream: l.stream, name: name, filter: []string{filter}, heads: heads, at: from}
	return o.until(ctx, end, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error { // what is written since, a reader of the log sees
		e, err := entry(m.Subject(), m.Headers(), m.Data(), meta.Sequence.Stream)
		if err != nil {
			return err
		}
		return yield(e)
	})
}

// Checkpoint says how far STIX_LATEST holds a producer's events, and which cursor goes with that.
type Checkpoint struct {
	Seq       uint64          `json:"seq"`                  // log sequence up to which everything of the producer is projected
	Cursor    json.RawMessage `json:"cursor,omitempty"`     // last cursor that travelled with an event
	CursorSeq uint64          `json:"cursor_seq,omitempty"` // sequence of that event
	EventSeq  uint64          `json:"event_seq,omitempty"`  // sequence of the producer's last event
	Objects   int64           `json:"objects,omitempty"`    // entries of this producer, for estimates only
	Writer    string          `json:"writer,omitempty"`     // who wrote it, so that one finds its own again when an answer got lost
	At        uint64          `json:"-"`                    // its sequence in STIX_LATEST; 0: there is none
}

func checkpointSubject(producer string) string { return "checkpoint.v1." + producer }

// Fenced is the checkpoint as STIX_LATEST stores it, if the one that is there is still the one at At. It goes into the same batch as the
// entries, so that nobody who was overtaken writes those either.
func (c Checkpoint) Fenced(producer string) *nats.Msg {
	m := c.Message(producer)
	m.Header[headerLastSubjectSeq] = []string{strconv.FormatUint(c.At, 10)}
	return m
}

// Message is the checkpoint without a fence.
func (c Checkpoint) Message(producer string) *nats.Msg {
	b, _ := json.Marshal(c) // cannot fail: Cursor was valid JSON when it was committed
	return &nats.Msg{Subject: checkpointSubject(producer), Header: nats.Header{}, Data: b}
}

// Checkpoint returns a producer's checkpoint; the zero value when there is none.
func (l *Latest) Checkpoint(ctx context.Context, producer string) (c Checkpoint, err error) {
	m, ok, err := ofLeader(ctx, l.nc, StreamLatest, question{LastOf: checkpointSubject(producer)})
	if err != nil {
		return c, fmt.Errorf("checkpoint of %s: %w", producer, err)
	}
	if !ok {
		return c, nil
	}
	l.Saw(producer, m.Sequence)
	if err := json.Unmarshal(m.Data, &c); err != nil {
		return c, fmt.Errorf("checkpoint of %s is damaged: %w", producer, err)
	}
	c.At = m.Sequence
	return c, nil
}

// Producers lists every producer that ever wrote a checkpoint.
func (l *Latest) Producers(ctx context.Context) ([]string, error) {
	i, err := l.stream.Info(ctx, jetstream.WithSubjectFilter(checkpointSubject("*")))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", StreamLatest, err)
	}
	var names []string
	for s := range i.State.Subjects {
		names = append(names, strings.TrimPrefix(s, checkpointSubject("")))
	}
	return names, nil
}

// Drop removes an entry and overwrites it in the store's files. A version that a newer one replaced stays in its block until the server
// compacts that.
func (l *Latest) Drop(ctx context.Context, typ, id, producer string) error {
	m, err := l.stream.GetLastMsgForSubject(ctx, LatestSubject(typ, id, producer))
	if err == nil {
		err = l.stream.SecureDeleteMsg(ctx, m.Sequence)
	}
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("%s: drop %s: %w", StreamLatest, id, err)
	}
	return nil
}

// Forget removes a producer's checkpoint.
func (l *Latest) Forget(ctx context.Context, producer string) error {
	if err := l.stream.Purge(ctx, jetstream.WithPurgeSubject(checkpointSubject(producer))); err != nil {
		return fmt.Errorf("%s: forget %s: %w", StreamLatest, producer, err)
	}
	return nil
}
