package delivery

import (
	"context"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// item is one event on its way to the target.
type item struct {
	seq   uint64 // place in the order
	nth   uint64 // ordinal among the live items, for ordered targets
	part  int
	size  int
	event bridge.Event
	lane  *lane
	next  *item // in the lane

	aside   *aside // set: not from the live reader, so no floor waits for it
	undone  bool   // the decision needs more than the event itself (see decide)
	light   bool   // the event is read again from the log when its turn comes
	settled bool   // dealt with; waits for the ones before it in its partition

	tries  int       // calls of the target that held it
	alone  int       // failures in a batch of one, other events having arrived since the one before
	limit  int       // most events in its next batch; 0: nothing against it yet
	called uint64    // ordinal of the last call that held it
	proof  uint64    // deliveries that had succeeded at its last failure alone
	failed bool      // it has failed
	born   uint64    // deliveries that had succeeded before it first failed
	vouch  bool      // a probe said just before the call that the target is well
	due    time.Time // not before
}

// aside is what a live item has not: an event that replay, redrive or a snapshot brings into the lanes beside the live reader.
type aside struct {
	// decide says what to deliver when the item's turn comes, everything before it in its lane being done.
	decide func(ctx context.Context) (decision, error)
	// done hears how it ended. It is called once, without locks held, by the worker.
	done   func(e ending)
	letter bool // it is a dead letter already
}

// overtaken reports whether events of the live reader wait behind the item in its lane.
func (it *item) overtaken() bool {
	for n := it.next; n != nil; n = n.next {
		if n.aside == nil {
			return true
		}
	}
	return false
}

// ending says how an item ended.
type ending struct {
	outcome outcome
	gate    string // when held back
	reason  string // when failed: reason of the letter
	err     error
}

type outcome uint8

const (
	arrived outcome = iota
	heldBack
	failed // permanently, or as poison
)

// decision says what happens to an item when its turn has come.
type decision struct {
	deliver bool
	event   bridge.Event // to deliver
	gate    string       // when not delivered
	missing bool         // a comparison met a missing property
	// fickle: not delivered because of what other objects or producers say now. After a crash the decision may be another one, so
	// that the next version must wait for the durable floor as it would for a delivery.
	fickle bool
	// state above 0 says that the decision stands for everything that happened to the object up to this sequence. Then the item
	// waits until the live reader has passed it, the lane has nothing else, and the durable floor has reached it.
	state uint64
}

func held(gate string) decision { return decision{gate: gate} }

func outweighed(gate string) decision { return decision{gate: gate, fickle: true} }

func deliver(e bridge.Event) decision { return decision{deliver: true, event: e} }
