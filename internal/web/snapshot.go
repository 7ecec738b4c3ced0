package web

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/stixbridge/stixbridge/bridge"
)

const (
	statusFresh   = 900 * time.Millisecond // so long all readers share one status
	statusTimeout = 5 * time.Second
)

// snapshot is one look at the bridge.
type snapshot struct {
	bridge.Status
	Degraded []string // from Source.Healthy
	At       time.Time
	Err      error // why this is not a fresh look; At says how old it is
}

// snapshots shares the looks at the source between all who ask.
type snapshots struct {
	source Source
	now    func() time.Time
	seen   func(snapshot)
	flight singleflight.Group

	mu   sync.Mutex
	last snapshot
}

func newSnapshots(s Source, now func() time.Time, seen func(snapshot)) *snapshots {
	return &snapshots{source: s, now: now, seen: seen}
}

// get returns a look that is at most a second old. When the source fails, it returns the last one with Err set, and the
// error too when there has been none.
func (s *snapshots) get(ctx context.Context) (snapshot, error) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if age := s.now().Sub(last.At); !last.At.IsZero() && age >= 0 && age < statusFresh {
		return last, nil
	}
	ch := s.flight.DoChan("", func() (any, error) { return s.look(context.WithoutCancel(ctx)) })
	var err error
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case res := <-ch:
		if res.Err == nil {
			return res.Val.(snapshot), nil
		}
		err = res.Err
	}
	last.Err = err
	if last.At.IsZero() {
		return last, err
	}
	return last, nil
}

// look asks the source; one caller's end must not spoil it for the others, so ctx carries no cancellation.
func (s *snapshots) look(ctx context.Context) (snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	st, err := s.source.Status(ctx)
	if err != nil {
		return snapshot{}, fmt.Errorf("status: %w", err)
	}
	snap := snapshot{Status: st, Degraded: s.source.Healthy(ctx), At: s.now().UTC()}
	s.mu.Lock()
	s.last = snap
	s.mu.Unlock()
	s.seen(snap)
	return snap, nil
}

// forget makes the next get look again.
func (s *snapshots) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last.At = s.last.At.Add(-statusFresh)
}
