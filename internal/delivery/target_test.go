package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// target records what arrives; answer decides what it says.
type target struct {
	mu      sync.Mutex
	got     []bridge.Event
	calls   int
	begun   []time.Time
	biggest int
	answer  func(ctx context.Context, batch []bridge.Event) error // before anything is recorded; its BatchError spares the others
}

func (t *target) Deliver(ctx context.Context, batch []bridge.Event) error {
	t.mu.Lock()
	t.calls++
	t.biggest = max(t.biggest, len(batch))
	t.begun = append(t.begun, time.Now())
	answer := t.answer
	t.mu.Unlock()
	var err error
	if answer != nil {
		err = answer(ctx, batch)
	}
	var some *bridge.BatchError
	if err != nil && !errors.As(err, &some) {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, e := range batch {
		if some == nil || some.Failed[i] == nil {
			t.got = append(t.got, e)
		}
	}
	return err
}

func (t *target) set(f func(ctx context.Context, batch []bridge.Event) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answer = f
}

// seqs is what arrived, in order.
func (t *target) seqs() []uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]uint64, len(t.got))
	for i, e := range t.got {
		all[i] = e.Seq
	}
	return all
}

// story is what arrived, readable: op, name and version of the object.
func (t *target) story() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var s []string
	for _, e := range t.got {
		v, _ := e.Object.Get("v")
		s = append(s, fmt.Sprintf("%s %s%s@%d", e.Op, strings.TrimPrefix(e.Object.ID(), "indicator--"), v, e.Seq))
	}
	return strings.Join(s, ", ")
}

// holds is what a target that mirrors state holds in the end.
func (t *target) holds() map[string]string {
	m := map[string]string{}
	for _, e := range t.got {
		if e.Retracts() {
			delete(m, e.Object.ID())
		} else {
			m[e.Object.ID()] = string(e.Object.Raw())
		}
	}
	return m
}

// count is how often it was called.
func (t *target) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls
}
