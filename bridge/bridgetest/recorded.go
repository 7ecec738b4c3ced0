package bridgetest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// Events are those that the log would hold, in order.
func (r *Recorder) Events() []Recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Ops counts the events by operation.
func (r *Recorder) Ops() map[bridge.Op]int {
	n := map[bridge.Op]int{}
	for _, e := range r.Events() {
		n[e.Op]++
	}
	return n
}

// Objects are those that the producer asserts now, by id.
func (r *Recorder) Objects() []stix.Object {
	r.mu.Lock()
	defer r.mu.Unlock()
	objs := make([]stix.Object, 0, len(r.held))
	for _, o := range r.held {
		objs = append(objs, o)
	}
	slices.SortFunc(objs, func(a, b stix.Object) int { return strings.Compare(a.ID(), b.ID()) })
	return objs
}

// State is what the producer asserts now: digests by id, to compare two recorders.
func (r *Recorder) State() map[string][32]byte {
	m := map[string][32]byte{}
	for _, o := range r.Objects() {
		m[o.ID()] = o.Digest()
	}
	return m
}

// LastCursor is the cursor as committed.
func (r *Recorder) LastCursor() json.RawMessage {
	c, _ := r.Cursor(context.Background())
	return c
}

// Figures of a Recorder.
type Figures struct {
	Puts, Unchanged, Commits, Prunes int
	Done                             int64 // as Progress last said
}

// Figures returns them.
func (r *Recorder) Figures() Figures {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Figures{r.puts, r.unchanged, r.commits, r.prunes, r.done}
}

// Rejected is the input that became dead letters.
func (r *Recorder) Rejected() []bridge.Rejected {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.rejected)
}

// Learned are the marking-definitions that the producer told before.
func (r *Recorder) Learned() []stix.Object {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.learned)
}

// Gaps are those that the producer reported.
func (r *Recorder) Gaps() []bridge.Gap {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.gaps)
}

// Healths are the reports of a live producer, in order.
func (r *Recorder) Healths() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.health)
}

// Wait blocks until the condition holds or ctx ends; the condition is asked after each change and must not change the Recorder.
func (r *Recorder) Wait(ctx context.Context, holds func(*Recorder) bool) error {
	for {
		r.mu.Lock()
		moved := r.moved
		r.mu.Unlock()
		if holds(r) {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
