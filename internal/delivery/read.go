package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// feed serves the snapshot, if one is due, then the live log, until ctx ends.
func (r *Runner) feed(ctx context.Context, state State) {
	if r.cfg.Latest != nil { // decisions must know what was read by the runs before
		if r.again(ctx, "latest objects", func() error { return r.cfg.Latest.Settle(ctx, "", slices.Max(state.Floors)) }) != nil {
			return
		}
	}
	if err := r.serveSnapshot(ctx); err != nil {
		if ctx.Err() == nil {
			r.fail(err)
		}
		return
	}
	r.resumeReplays(ctx)
	err := r.again(ctx, "event log", func() error { return r.read(ctx) })
	if err != nil && ctx.Err() == nil {
		r.fail(err)
	}
}

// read follows the log from the lowest floor; called again, it goes on behind what it has seen.
func (r *Runner) read(ctx context.Context) error {
	r.mu.Lock()
	from := max(r.positionLocked(), r.s.floors.read)
	r.mu.Unlock()
	first, err := r.cfg.Log.FirstSeq(ctx)
	if err != nil {
		return err
	}
	last, err := r.cfg.Log.LastSeq(ctx)
	if err != nil {
		return err
	}
	if last < from {
		return fmt.Errorf("%w: the event log ends at %d, before this consumer's position %d: an older log was restored. Restore the position that belongs to it, or reset the consumer", ErrFinal, last, from)
	}
	if first > from+1 {
		r.lose(from+1, first-1)
		from = first - 1
	}
	r.pass(from)
	r.note("event log", nil)
	f := r.filter()
	err = r.cfg.Log.Read(ctx, from+1, 0, f, func(i Item) error { return r.take(ctx, i) })
	if err == nil {
		err = errors.New("the reader of the event log ended by itself")
	}
	return err
}

// filter says which events this runner can use.
func (r *Runner) filter() (f Filter) {
	f.Producers, f.Types = r.gate.Names()
	if len(r.share) < r.cfg.Partitions {
		f.Partitions = r.share
	}
	return f
}

// lose takes note of events that retention removed before they were read.
func (r *Runner) lose(from, to uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stat.lost += to - from + 1
	r.stat.lostAt = time.Now()
	r.cfg.Logger.Error("the event log no longer holds events that this consumer had not read", "consumer", r.cfg.Name, "from", from, "to", to,
		"remedy", "replay or start: latest brings the current state; raise max_age or max_bytes, or set protect: true")
}

// pass notes that there is nothing for us up to seq.
func (r *Runner) pass(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.s.passed(seq) {
		r.work.Broadcast()
	}
	r.moved.Broadcast()
}

// take takes one item of the log in; it blocks while the window is full.
func (r *Runner) take(ctx context.Context, i Item) error {
	if i.Mark > 0 {
		r.pass(i.Mark)
		return nil
	}
	e := i.Event
	if i.Partition < 0 || i.Partition >= r.cfg.Partitions {
		return fmt.Errorf("%w: event %d is of partition %d, and this consumer's position has %d", ErrFinal, e.Seq, i.Partition, r.cfg.Partitions)
	}
	if err := r.gap(ctx, e.Seq); err != nil {
		return err
	}
	v := r.decide.glance(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Seq <= r.s.floors.read {
		return nil
	}
	r.sources[e.Producer] = e.Seq
	if e.Seq <= r.s.lanes.durable[i.Partition] {
		r.advance(e.Seq)
		return nil
	}
	if v.missing {
		r.stat.missing++
	}
	if v.err != nil {
		r.stat.broken++
		r.stat.brokenText = fmt.Sprintf("event %d: %v", e.Seq, v.err)
	}
	if v.held != "" {
		r.stat.hold(v.held)
		r.advance(e.Seq)
		return nil
	}
	for r.s.full() && ctx.Err() == nil {
		r.space.Wait()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	it := r.s.blank()
	it.seq, it.part, it.event, it.undone = e.Seq, i.Partition, e, v.undone
	it.size = len(e.Object.Raw()) + overhead
	if r.s.admit(e.Object.ID(), it) {
		r.work.Signal()
	} else if r.s.urgent() {
		r.kickSaver()
	}
	if r.s.parked.top() != nil {
		r.advance(e.Seq)
	}
	return nil
}

// overhead is what an event costs beside its object, in bytes.
const overhead = 512

func (r *Runner) advance(seq uint64) {
	if r.s.passed(seq) {
		r.work.Broadcast()
	}
}

// gap looks whether a step in the sequences means that retention overtook the reader.
func (r *Runner) gap(ctx context.Context, seq uint64) error {
	r.mu.Lock()
	read := r.s.floors.read
	r.mu.Unlock()
	if seq <= read+1 {
		return nil
	}
	first, err := r.decide.firstSeq(ctx, read+1)
	if err != nil {
		return err
	}
	if first > read+1 {
		r.lose(read+1, min(first, seq)-1)
	}
	return nil
}

// glimpse is what the event itself says about what to do with it.
type glimpse struct {
	held    string // by this gate, for certain
	missing bool
	err     error // the where expression could not be evaluated
	undone  bool  // needs a decision when its turn has come
}
