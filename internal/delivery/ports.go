package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// ErrFenced is what Positions.Save returns when another owner has taken the position over. The runner stops at once.
var ErrFenced = errors.New("another instance has taken over this consumer's position")

// Item is what Log.Read yields: an event with the partition of its object, or a mark.
type Item struct {
	Event     bridge.Event
	Partition int
	// Mark above 0 says that nothing in the filter is left up to this sequence; Event is empty then. A reader that leaves
	// events out yields one when it has caught up with the end of the log, so that the position can follow.
	Mark uint64
}

// Filter says which events the runner can use at all. A reader may yield more; the gates look at each event anyway.
// It has no TLP and no operation: an event that must be held back may have to retract the version before it.
type Filter struct {
	Producers  []string // empty: all
	Types      []string // empty: all
	Partitions []int    // nil: all; a reader must yield no event of any other
}

// Log is the event log as a runner needs it.
type Log interface {
	// Read yields events in log order, each sequence at most once, starting at from. With to 0 it is live: it waits for new
	// events and returns only with an error or when ctx ends; else it returns nil after the last event at or before to.
	// An error of yield ends it and is returned. Objects may be parsed lazily; they must stay valid after yield.
	Read(ctx context.Context, from, to uint64, f Filter, yield func(Item) error) error
	// Get returns one event; false when it is not there any more.
	Get(ctx context.Context, seq uint64) (bridge.Event, bool, error)
	// FirstSeq is the sequence of the oldest event that is left, LastSeq the last that was given; an empty log that lost
	// everything up to n says n+1 and n.
	FirstSeq(ctx context.Context) (uint64, error)
	LastSeq(ctx context.Context) (uint64, error)
}

// Assertion is what one producer says about one object now.
type Assertion struct {
	Producer string
	Seq      uint64 // of the event that said so
	EventID  string
	Time     time.Time
	Op       bridge.Op // delete, expire, retract: not asserted any more; Object is the last known one, or a stub
	TLP      stix.TLP
	Object   stix.Object
	Context  bridge.Context
}

// Asserted reports whether the producer still holds the object.
func (a Assertion) Asserted() bool { return !bridge.Event{Op: a.Op}.Retracts() }

// Latest is what all producers assert now: a projection of the log that may be ahead of a runner's reader, and behind the log.
type Latest interface {
	// Of returns what each producer asserts, or last asserted, about an id.
	Of(ctx context.Context, typ, id string) ([]Assertion, error)
	// Settle blocks until the projection includes the producer's events up to seq; the empty producer means all of them.
	Settle(ctx context.Context, producer string, seq uint64) error
	// Scan yields all current entries in storage order, behind the storage position after (0: from the beginning), each with
	// its own position, and returns nil at the end. An error of yield ends it and is returned.
	Scan(ctx context.Context, after uint64, yield func(a Assertion, at uint64) error) error
}

// State is a consumer's durable position.
type State struct {
	// Floors has one entry per partition: every event of the partition up to and including this sequence is delivered,
	// held back by a gate, or stored as a dead letter. Entries of partitions that are not this runner's do not count.
	Floors []uint64
	Phase  Phase
}

// Phase says how the consumer began; it is part of the position because decisions depend on it for as long as the consumer lives.
type Phase struct {
	Start    string `json:"start"`              // new, all, latest or time
	From     uint64 `json:"from"`               // the log's last sequence when the position was made (or before the start time): nothing at or before it is read live
	Snapshot bool   `json:"snapshot,omitempty"` // start: latest is still being served
	At       uint64 `json:"at,omitempty"`       // storage position up to which the snapshot is served
	Until    uint64 `json:"until,omitempty"`    // the log's last sequence when the snapshot ended
}

// Change is what one Save writes.
type Change struct {
	Floors map[int]uint64 // only those that moved
	Phase  *Phase         // only when it changed
}

// Positions keeps one consumer's position. The runner makes one call at a time.
type Positions interface {
	// Load returns the position and takes it over from a former owner; false when there is none yet.
	Load(ctx context.Context) (State, bool, error)
	// Create stores the first position; when there is one already, it and its owner are left alone, and that is no error.
	Create(ctx context.Context, s State) error
	// Save stores the change in one atomic step and returns when it is durable. ErrFenced when another owner took over. After any
	// other error the change may be stored or not; the runner saves again.
	Save(ctx context.Context, c Change) error
}

// Reasons of a letter.
const (
	ReasonPermanent = "permanent" // the target or the plugin said that no retry helps
	ReasonPoison    = "poison"    // failed again and again while other events arrived
	ReasonPanic     = "panic"     // the plugin panicked on it
	ReasonTarget    = "target"    // the target reported it as failed after it had accepted it
)

// Letter is a dead letter: an event that could not be delivered, as it was to be delivered.
type Letter struct {
	Consumer string
	Event    bridge.Event
	Reason   string // one of the reasons above
	Error    string // the target's last word
	Attempts int
	Time     time.Time
}

// Letters stores dead letters.
type Letters interface {
	// Store returns when the letter is durable. Storing one twice must not make two (Consumer, Event.Seq and Event.Op name it).
	Store(ctx context.Context, l Letter) error
}

// Orders keeps the replays that a consumer has not finished. Runners that share its partitions carry them out together.
type Orders interface {
	// Save returns when the order is durable; one of this ID that was there before stays as it was.
	Save(ctx context.Context, o Order) error
	// Note stores up to where partitions are done, and reports whether all partitions are now, so that the order is over and forgotten.
	Note(ctx context.Context, o Order, at map[int]uint64) (over bool, err error)
	List(ctx context.Context) ([]Order, error)
}
