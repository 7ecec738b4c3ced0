package eventlog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/bridge"
)

// Headers of a dead letter, beside those of the event it was.
const (
	letterFrom     = "Letter-From"     // consumer or producer that gave up
	letterSide     = "Letter-Side"     // consumer or producer
	letterReason   = "Letter-Reason"   // text
	letterClass    = "Letter-Class"    // permanent, poison, intake, target
	letterAttempts = "Letter-Attempts" // deliveries tried
	letterPosition = "Letter-Position" // where rejected input stood at its source
	letterSubject  = "Letter-Subject"  // subject of the event
	letterSeq      = "Letter-Seq"      // sequence of the event
	letterTime     = "Letter-Time"     // when the event was stored
	letterEvent    = "Letter-Event"    // event id
)

// Letter is a dead letter: an event that a consumer could not deliver, or input that a producer could not make an event.
type Letter struct {
	Seq      uint64    `json:"seq"`  // in STIX_DLQ; names the letter
	Time     time.Time `json:"time"` // when it was stored
	Name     string    `json:"name"` // of the consumer or producer
	Side     string    `json:"side"` // consumer or producer
	Class    string    `json:"class"`
	Reason   string    `json:"reason"`
	Attempts int       `json:"attempts,omitempty"`
	Position string    `json:"position,omitempty"`
	ID       string    `json:"id,omitempty"` // STIX id, when known
	EventSeq uint64    `json:"event_seq,omitempty"`
	EventID  string    `json:"event_id,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	Context  string    `json:"-"`
	Blob     string    `json:"-"`
	Raw      []byte    `json:"-"` // the event's stored bytes, or the rejected input

	EventTime time.Time `json:"event_time,omitzero"`
}

// Classes of dead letters.
const (
	ClassPermanent = "permanent" // the target refused the event for good
	ClassPoison    = "poison"    // it failed again and again while others passed
	ClassTarget    = "target"    // the target reported it as failed after accepting it
	ClassIntake    = "intake"    // it could not become an event
)

// Letters reads and writes STIX_DLQ.
type Letters struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
}

const maxHeaderText = 4 << 10

// line makes text fit a header: one line, bounded.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxHeaderText {
		s = strings.ToValidUTF8(s[:maxHeaderText], "") + "…"
	}
	return s
}

// Store makes a letter durable; the same letter again within an hour is one. It blocks until the server answered.
func (l *Letters) Store(ctx context.Context, d Letter) error {
	h := nats.Header{}
	set := func(k, v string) {
		if v != "" {
			h[k] = []string{line(v)}
		}
	}
	set(letterFrom, d.Name)
	set(letterSide, d.Side)
	set(letterReason, d.Reason)
	set(letterClass, d.Class)
	set(letterPosition, d.Position)
	set(letterSubject, d.Subject)
	set(letterEvent, d.EventID)
	set(HeaderID, d.ID)
	set(HeaderBlob, d.Blob)
	if d.Context != "" {
		h[HeaderContext] = []string{d.Context}
	}
	if d.Attempts > 0 {
		set(letterAttempts, strconv.Itoa(d.Attempts))
	}
	id := d.Name + "/" + strconv.FormatUint(d.EventSeq, 10)
	if d.EventSeq > 0 {
		set(letterSeq, strconv.FormatUint(d.EventSeq, 10))
		set(letterTime, d.EventTime.UTC().Format(time.RFC3339Nano))
	} else {
		id = d.Name + "/" + token(d.Position+"\x00"+string(d.Raw))
	}
	h[HeaderMsgID] = []string{id}
	_, err := Commit(ctx, l.nc, []*nats.Msg{{Subject: "dlq." + d.Name + "." + d.Class, Header: h, Data: d.Raw}})
	if err != nil {
		return fmt.Errorf("dead letter of %s: %w", d.Name, err)
	}
	return nil
}

func letter(m *jetstream.RawStreamMsg) Letter {
	return letterOf(m.Header, m.Data, m.Sequence, m.Time)
}

func letterOf(h nats.Header, data []byte, seq uint64, at time.Time) Letter {
	d := Letter{
		Seq: seq, Time: at.UTC(), Name: one(h, letterFrom), Side: one(h, letterSide), Class: one(h, letterClass), Reason: one(h, letterReason),
		Position: one(h, letterPosition), ID: one(h, HeaderID), EventID: one(h, letterEvent), Subject: one(h, letterSubject),
		Context: one(h, HeaderContext), Blob: one(h, HeaderBlob), Raw: data,
	}
	d.Attempts, _ = strconv.Atoi(one(h, letterAttempts))
	d.EventSeq, _ = strconv.ParseUint(one(h, letterSeq), 10, 64)
	d.EventTime, _ = time.Parse(time.RFC3339Nano, one(h, letterTime))
	return d
}

// Event rebuilds the event that became this letter; an error when it was rejected input.
func (d Letter) Event() (bridge.Event, error) {
	if d.EventSeq == 0 {
		return bridge.Event{}, fmt.Errorf("letter %d is rejected input, no event", d.Seq)
	}
	s, err := ParseSubject(d.Subject)
	if err != nil {
		return bridge.Event{}, err
	}
	return Record{Subject: s, Seq: d.EventSeq, Time: d.EventTime, EventID: d.EventID, ID: d.ID, Context: d.Context, Data: d.Raw}.Event()
}

// Get returns one letter; false when there is none of that sequence.
func (l *Letters) Get(ctx context.Context, seq uint64) (Letter, bool, error) {
	m, ok, err := ofLeader(ctx, l.nc, StreamLetters, question{Seq: seq})
	if err != nil {
		return Letter{}, false, fmt.Errorf("dead letter %d: %w", seq, err)
	}
	if !ok {
		return Letter{}, false, nil
	}
	return letter(m), true, nil
}

// Drop removes a letter.
func (l *Letters) Drop(ctx context.Context, seq uint64) error {
	if err := l.stream.SecureDeleteMsg(ctx, seq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("dead letter %d: %w", seq, err)
	}
	return nil
}

// Scan yields the letters of a consumer or producer (empty: all), oldest first.
func (l *Letters) Scan(ctx context.Context, name string, yield func(Letter) error) error {
	filter := "dlq.>"
	if name != "" {
		filter = "dlq." + name + ".>"
	}
	info, err := l.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", StreamLetters, err)
	}
	for seq := info.State.FirstSeq; info.State.Msgs > 0 && seq <= info.State.LastSeq; {
		m, ok, err := ofLeader(ctx, l.nc, StreamLetters, question{Seq: seq, NextOf: filter})
		if err != nil {
			return fmt.Errorf("%s: %w", StreamLetters, err)
		}
		if !ok {
			return nil
		}
		if err := yield(letter(m)); err != nil {
			return err
		}
		seq = m.Sequence + 1
	}
	return nil
}

// Counts returns how many letters wait, by consumer or producer.
func (l *Letters) Counts(ctx context.Context) (map[string]uint64, error) {
	i, err := l.stream.Info(ctx, jetstream.WithSubjectFilter("dlq.>"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", StreamLetters, err)
	}
	n := map[string]uint64{}
	for s, c := range i.State.Subjects {
		name, _, _ := strings.Cut(strings.TrimPrefix(s, "dlq."), ".")
		n[name] += c
	}
	return n, nil
}
