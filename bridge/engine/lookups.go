package engine

import (
	"context"
	"sync"

	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// lookups asks STIX_LATEST for what comes while it is asking in one further question: a plugin that wants many references side by side
// pays few round trips.
type lookups struct {
	latest *eventlog.Latest

	mu      sync.Mutex
	busy    bool
	waiting map[eventlog.Key][]chan found
}

type found struct {
	entries []eventlog.Entry
	err     error
}

func newLookups(l *eventlog.Latest) *lookups {
	return &lookups{latest: l, waiting: map[eventlog.Key][]chan found{}}
}

// of returns what each producer last asserted about an object, as it stands no earlier than the call.
func (l *lookups) of(ctx context.Context, k eventlog.Key) ([]eventlog.Entry, error) {
	answer := make(chan found, 1) // who asked may have gone
	l.mu.Lock()
	l.waiting[k] = append(l.waiting[k], answer)
	if !l.busy {
		l.busy = true
		go l.ask(context.WithoutCancel(ctx))
	}
	l.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case f := <-answer:
		return f.entries, f.err
	}
}

// ask answers until nobody waits.
func (l *lookups) ask(ctx context.Context) {
	for {
		l.mu.Lock()
		all := l.waiting
		if len(all) == 0 {
			l.busy = false
			l.mu.Unlock()
			return
		}
		l.waiting = make(map[eventlog.Key][]chan found, len(all))
		l.mu.Unlock()
		keys := make([]eventlog.Key, 0, len(all))
		for k := range all {
			keys = append(keys, k)
		}
		got, err := l.latest.OfAll(ctx, keys)
		for k, answers := range all {
			for _, a := range answers {
				a <- found{got[k.ID], err}
			}
		}
	}
}
