package delivery

import (
	"context"
	"fmt"
)

// Start policies of a new consumer.
const (
	StartNew    = "new"    // what happens from now on
	StartAll    = "all"    // everything that the log holds
	StartLatest = "latest" // each object once in its current state, then what happens
	StartTime   = "time"   // everything since a time
)

// Prepare gives a new consumer its position; one that has a position keeps it, and an instance that runs it goes on. Call it for
// every consumer before any producer starts, so that new in a fresh log means everything.
func (r *Runner) Prepare(ctx context.Context) error {
	last, err := r.cfg.Log.LastSeq(ctx)
	if err != nil {
		return r.wrap("finding the end of the event log", err)
	}
	phase := Phase{Start: r.cfg.Start, From: last}
	switch r.cfg.Start {
	case StartNew:
	case StartAll:
		first, err := r.cfg.Log.FirstSeq(ctx)
		if err != nil {
			return r.wrap("finding the beginning of the event log", err)
		}
		phase.From = max(first, 1) - 1
	case StartTime:
		if r.cfg.SeqAt == nil {
			return fmt.Errorf("consumer %s: start at a time is not possible here", r.cfg.Name)
		}
		seq, err := r.cfg.SeqAt(ctx, r.cfg.StartTime)
		if err != nil {
			return r.wrap("finding the start time in the event log", err)
		}
		phase.From = max(seq, 1) - 1
	case StartLatest:
		phase.Snapshot = true
	default:
		return fmt.Errorf("consumer %s: start: %q is not new, latest, all or a time", r.cfg.Name, r.cfg.Start)
	}
	state := State{Floors: make([]uint64, r.cfg.Partitions), Phase: phase}
	for p := range state.Floors {
		state.Floors[p] = phase.From
	}
	return r.wrap("making the position", r.cfg.Positions.Create(ctx, state))
}

// load reads the position that Prepare or an earlier run left.
func (r *Runner) load(ctx context.Context) (State, error) {
	state, there, err := r.cfg.Positions.Load(ctx)
	if err == nil && !there {
		if err = r.Prepare(ctx); err == nil {
			state, _, err = r.cfg.Positions.Load(ctx)
		}
	}
	if err != nil {
		return State{}, r.wrap("loading the position", err)
	}
	if len(state.Floors) != r.cfg.Partitions {
		return State{}, fmt.Errorf("consumer %s: the position has %d partitions and the event log %d: reset the consumer, or restore the position that belongs to this log", r.cfg.Name, len(state.Floors), r.cfg.Partitions)
	}
	return state, nil
}

func (r *Runner) wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("consumer %s: %s: %w", r.cfg.Name, doing, err)
}
