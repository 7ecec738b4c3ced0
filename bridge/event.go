package bridge

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stixbridge/stixbridge/stix"
)

// Op says what happened to an object. The first four are the source's own words, the last two are the bridge's.
type Op string

// The operations of contract v1; a reader ignores any other.
const (
	Create  Op = "create"
	Update  Op = "update"
	Delete  Op = "delete"
	Merge   Op = "merge"
	Expire  Op = "expire"  // valid_until has passed
	Retract Op = "retract" // whoever held this object may no longer hold it
)

// Event is one change event as a consumer sees it: one STIX object, what happened to it, and which producer saw it.
type Event struct {
	Seq      uint64    // sequence in the event log: the version that decides which state is newer
	Time     time.Time // when the log stored it, UTC
	ID       string    // event id (Nats-Msg-Id); stays the same however often the event is delivered
	Producer string
	TLP      stix.TLP // level of the subject: the object's strictest marking or the producer's default
	Op       Op
	Object   stix.Object
	Context  Context
	Attempt  int // 1 on the first delivery

	house House
}

// Context is what an event carries beside the object (header Stix-Context). Unknown members survive a round trip only in Raw.
type Context struct {
	Reason       string          `json:"reason,omitempty"`        // of a retract, delete or expire: reclassified, renamed, left_filter, merged, expired, gate
	ReversePatch json.RawMessage `json:"reverse_patch,omitempty"` // RFC 6902: this version → the one before
	Sources      []string        `json:"sources,omitempty"`       // ids that a merge swallowed
	NewID        string          `json:"new_id,omitempty"`        // of a rename
	Into         string          `json:"into,omitempty"`          // of a delete by merge: the surviving id
	Bundle       string          `json:"bundle,omitempty"`        // id of the bundle that held the object
	Position     int             `json:"position,omitempty"`      // index of the object in its bundle, from 0
	Origin       *Origin         `json:"origin,omitempty"`
	Backfill     bool            `json:"backfill,omitempty"` // recovered or first-import event, not news
	Hops         []string        `json:"hops,omitempty"`     // enrichers that this knowledge went through
	Prev         uint64          `json:"prev,omitempty"`     // sequence of this object's previous event from this producer
	Cause        uint64          `json:"cause,omitempty"`    // of a gate's retract: sequence of the event that caused it
	CauseID      string          `json:"cause_id,omitempty"`
	SourceEvent  string          `json:"source_event,omitempty"` // identity of the event at the source, for sources that repeat themselves
	Next         bool            `json:"next,omitempty"`         // of a retract: the object's new version is the next event in the log
}

// Origin says which platform an object came from, so that it is not sent back there.
type Origin struct {
	Platform string `json:"platform,omitempty"` // UUIDv5 of the platform's URL
	User     string `json:"user,omitempty"`     // platform user that made the change
	Referer  string `json:"referer,omitempty"`  // init-create, init-dependencies
}

// Retracts reports whether a target that mirrors state must drop the object.
func (e Event) Retracts() bool {
	return e.Op == Delete || e.Op == Expire || e.Op == Retract
}

// House is what the runtime lends to an event. Tests may lend their own.
type House interface {
	Before(ctx context.Context, e Event) (stix.Object, bool, error)
	Resolve(ctx context.Context, e Event, ref string) (stix.Object, bool, error)
}

// Lend returns the event with access to a house; the runtime calls it, and tests of sinks may.
func (e Event) Lend(h House) Event { e.house = h; return e }

// Before returns the object as this producer asserted it before this event; false when there is none or it is no longer known.
// It may read from the event log and so block for milliseconds.
func (e Event) Before(ctx context.Context) (stix.Object, bool, error) {
	if e.house == nil {
		return stix.Object{}, false, nil
	}
	return e.house.Before(ctx, e)
}

// Resolve returns the latest known object behind a reference, within the ceiling (max_tlp) of the consumer that asks;
// false when it is unknown or above the ceiling.
func (e Event) Resolve(ctx context.Context, ref string) (stix.Object, bool, error) {
	if e.house == nil {
		return stix.Object{}, false, nil
	}
	return e.house.Resolve(ctx, e, ref)
}

// Line appends the event as tap, the file sink and webhooks show it: one JSON object without a line end.
func (e Event) Line(b []byte) []byte { return appendLine(b, e) }
