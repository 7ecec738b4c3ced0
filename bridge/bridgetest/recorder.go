// Package bridgetest tests plugins: a Recorder that stands in for the event log, servers and targets that misbehave, and suites that check
// what the runtime relies on. A plugin's own tests check what it does; the suites check how it behaves when the world does not.
package bridgetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// ErrKilled is what a Recorder answers from the moment at which it plays a crash.
var ErrKilled = errors.New("killed by the test")

// Recorded is an event that the event log would hold.
type Recorded struct {
	Op     bridge.Op
	Change bridge.Change
}

// Recorder is a bridge.Intake in memory. It decides as the runtime does: what equals the last assertion makes no event, an id is
// created once, a repeat of the same source event is silent. Safe for concurrent use.
type Recorder struct {
	MaxDelete float64 // share that Prune may delete at once, beside one object; 0: 0.1

	mu        sync.Mutex
	moved     chan struct{} // closed and renewed at each change
	events    []Recorded
	held      map[string]stix.Object
	heard     map[string]bool // source events
	cursor    json.RawMessage
	commits   int
	puts      int
	unchanged int
	rejected  []bridge.Rejected
	learned   []stix.Object
	gaps      []bridge.Gap
	health    []error
	prunes    int
	done      int64

	saved    saved // at the last commit
	killIn   int   // changes until the kill; negative: none
	killed   bool
	blocking bool
}

type saved struct {
	events, rejected, gaps int
	held                   map[string]stix.Object
	heard                  map[string]bool
}

var _ bridge.Intake = (*Recorder)(nil)

// NewRecorder returns an empty one.
func NewRecorder() *Recorder {
	return &Recorder{held: map[string]stix.Object{}, heard: map[string]bool{}, moved: make(chan struct{}), killIn: -1,
		saved: saved{held: map[string]stix.Object{}, heard: map[string]bool{}}}
}

// KillAfter lets n more changes in; the next one, and every call after it, fails with ErrKilled.
func (r *Recorder) KillAfter(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killIn = n
}

// Restart ends the kill, as if the process came up again. With lose, what was put after the last commit never reached the log.
func (r *Recorder) Restart(lose bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killIn, r.killed = -1, false
	if lose {
		r.events, r.rejected, r.gaps = r.events[:r.saved.events], r.rejected[:r.saved.rejected], r.gaps[:r.saved.gaps]
		r.held, r.heard = maps.Clone(r.saved.held), maps.Clone(r.saved.heard)
	}
}

// Block makes Put wait until its context ends, as a full window does.
func (r *Recorder) Block() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocking = true
}

// Put implements bridge.Intake.
func (r *Recorder) Put(ctx context.Context, changes ...bridge.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blocking {
		r.signal()
		r.mu.Unlock()
		<-ctx.Done()
		r.mu.Lock()
		return context.Cause(ctx)
	}
	defer r.signal()
	for _, c := range changes {
		if r.killIn == 0 {
			r.killed = true
		}
		if r.killed {
			return ErrKilled
		}
		if r.killIn > 0 {
			r.killIn--
		}
		if err := r.put(c); err != nil {
			return err
		}
	}
	return nil
}

func (r *Recorder) put(c bridge.Change) error {
	r.puts++
	id := c.Object.ID()
	if c.Object.IsZero() {
		return errors.New("a change without an object")
	}
	if c.SourceEvent != "" {
		if r.heard[c.SourceEvent] {
			r.unchanged++
			return nil
		}
		r.heard[c.SourceEvent] = true
	}
	old, known := r.held[id]
	switch {
	case c.Op == bridge.Delete:
		if known {
			delete(r.held, id)
			r.record(bridge.Delete, c)
		}
		return nil
	case c.Op == bridge.Merge:
		r.held[id] = c.Object
		r.record(bridge.Merge, c)
		for _, s := range c.Sources {
			if _, ok := r.held[s.ID()]; ok {
				delete(r.held, s.ID())
				r.record(bridge.Delete, bridge.Change{Object: s, Context: bridge.Context{Reason: "merged", Into: id}})
			}
		}
		return nil
	case known && old.Digest() == c.Object.Digest():
		r.unchanged++
		return nil
	case known:
		r.record(bridge.Update, c)
	default:
		r.record(bridge.Create, c)
	}
	r.held[id] = c.Object
	return nil
}

func (r *Recorder) record(op bridge.Op, c bridge.Change) {
	r.events = append(r.events, Recorded{op, c})
}

// signal wakes Wait; the lock is held.
func (r *Recorder) signal() {
	close(r.moved)
	r.moved = make(chan struct{})
}

// Commit implements bridge.Intake.
func (r *Recorder) Commit(_ context.Context, cursor json.RawMessage) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		return ErrKilled
	}
	if !json.Valid(cursor) {
		return fmt.Errorf("a cursor that is not JSON: %q", cursor)
	}
	r.cursor = slices.Clone(cursor)
	r.commits++
	r.saved = saved{len(r.events), len(r.rejected), len(r.gaps), maps.Clone(r.held), maps.Clone(r.heard)}
	r.signal()
	return nil
}

// Cursor implements bridge.Intake.
func (r *Recorder) Cursor(context.Context) (json.RawMessage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.cursor), nil
}

// Reject implements bridge.Intake. The same input at the same place is one dead letter, however often it is met.
func (r *Recorder) Reject(_ context.Context, x bridge.Rejected) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		return ErrKilled
	}
	for _, y := range r.rejected {
		if y.Position == x.Position && string(y.Raw) == string(x.Raw) {
			return nil
		}
	}
	r.rejected = append(r.rejected, x)
	return nil
}

// Learn implements bridge.Intake.
func (r *Recorder) Learn(o stix.Object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.learned = append(r.learned, o)
}

// Prune implements bridge.Intake.
func (r *Recorder) Prune(_ context.Context, keep func(string) bool) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		return 0, ErrKilled
	}
	r.prunes++
	var gone []string
	for id := range r.held {
		if !keep(id) {
			gone = append(gone, id)
		}
	}
	most := r.MaxDelete
	if most == 0 {
		most = 0.1
	}
	if len(gone) > 1 && float64(len(gone)) > most*float64(len(r.held)) {
		return 0, fmt.Errorf("%d of %d objects would be deleted", len(gone), len(r.held))
	}
	slices.Sort(gone)
	for _, id := range gone {
		r.record(bridge.Delete, bridge.Change{Op: bridge.Delete, Object: r.held[id]})
		delete(r.held, id)
	}
	r.signal()
	return len(gone), nil
}

// Gap implements bridge.Intake.
func (r *Recorder) Gap(_ context.Context, g bridge.Gap) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gaps = append(r.gaps, g)
	return nil
}

// Progress implements bridge.Intake.
func (r *Recorder) Progress(done, _ int64, _ string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = done
}

// Health implements bridge.Intake.
func (r *Recorder) Health(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health = append(r.health, err)
	r.signal()
}
