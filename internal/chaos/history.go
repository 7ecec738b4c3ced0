package chaos

import "encoding/json"

// Event is an event as the log or a target has it.
type Event struct {
	Seq      uint64          `json:"seq"`
	Producer string          `json:"producer"`
	TLP      string          `json:"tlp"`
	Op       string          `json:"op"`
	ID       string          `json:"id"`
	EventID  string          `json:"event_id"`
	Object   json.RawMessage `json:"object"`
	Context  struct {
		Next bool `json:"next"` // of a retract: the object's successor follows directly
	} `json:"context"`
}

// TakesBack reports whether nobody should hold the object after it.
func (e Event) TakesBack() bool { return e.Op == "delete" || e.Op == "expire" || e.Op == "retract" }

// Receipt is one event that a target was given.
type Receipt struct {
	Event
	Key     string // Idempotency-Key, where the target has such
	Refused bool   // without effect: the target holds a newer version
	Known   bool   // without effect: the target has had this key
}

// Consumer is one consumer's side of a run.
type Consumer struct {
	Name     string
	Passes   func(Event) bool // its gates, written anew from the configuration; nil: everything passes
	Receipts []Receipt        // in the order in which the target took them
	Letters  []uint64         // sequences of the events that became dead letters
	Position uint64           // durable position; what is above it is pending
	Exact    bool             // the target refuses what is older and knows its keys: it must end exact
	Mirror   bool             // a state target that may be given one version for several: only order and end are judged
	Keeps    bool             // the target keeps what is taken back
	Late     int              // receipts out of order that are allowed: calls in flight when a process was stopped past its lease
}

// Change is what a source said of an object.
type Change struct {
	ID   string
	Mark string // names the content
	Gone bool   // the source no longer has it
}

// Source is one producer's side of a run.
type Source struct {
	Producer string
	Said     []Change           // in order
	Polled   bool               // versions between two reads may be missed; the last may not
	Gap      bool               // the producer has shown a gap
	Mark     func(Event) string // names an event's content as Change.Mark does
}

// Run is everything that was seen from outside.
type Run struct {
	Log       []Event // of the event log, whole and in order, as tap prints it
	Sources   []Source
	Consumers []Consumer
}
