package eventlog

import (
	"fmt"
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
