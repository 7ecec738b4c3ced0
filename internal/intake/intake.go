// Package intake turns what a producer reports into events: it decides per object whether that is news, commits events in groups behind a
// fence, keeps STIX_LATEST as a projection of them, and moves the producer's cursor with them.
//
// Three stages run beside each other, each on one group at a time:
//
//	decide   looks the objects up in STIX_LATEST and in what is under way, makes messages
//	publish  stores one atomic batch in STIX; one is in flight, fenced by the last sequence expected
//	project  writes the outcome to STIX_LATEST together with a checkpoint
package intake

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/seal"
	"github.com/stixbridge/stixbridge/stix"
)

// Options of one producer's intake.
type Options struct {
	Producer      string
	DefaultTLP    stix.TLP // for objects without a TLP marking
	MaxDelete     int      // percent of the asserted objects that a complete read may delete
	AcceptDeletes bool     // lifts MaxDelete once
	AcceptRebuild bool     // go on although the log no longer reaches back to the checkpoint
	Backfill      bool     // mark events as the first import's
	Aliases       bool     // the source names objects by ids of its own (live streams)
	MaxAge        time.Duration
	Log           *slog.Logger

	// Validate refuses an object (strict producers); nil: everything that can be an event passes.
	Validate func(stix.Object) error
	// Diff returns the RFC 6902 patch from a to b; nil: no reverse patches are made.
	Diff func(a, b stix.Object) (json.RawMessage, error)
	// Pressure blocks while the log must not grow by so many bytes; nil: it may.
	Pressure func(ctx context.Context, bytes int64) error
	// Expiry is told of every projected entry that has an end of validity; nil: nobody cares.
	Expiry     func(validUntil string, at uint64)
	OnHealth   func(error)
	OnProgress func(done, total int64, unit string)
	OnGap      func(bridge.Gap)

	inject func(point string) error // tests: what happens at a point between two writes
}

// Intake is one producer's way into the event log. It implements bridge.Intake.
type Intake struct {
	opt   Options
	store *eventlog.Store
	pub   *nats.Conn
	lease *eventlog.Lease
	seal  *seal.Seal // cursors travel on events, and subscribers receive those as they are stored
	log   *slog.Logger

	markings stix.Markings
	Counts   Counts

	in       chan item
	groups   chan *group // decide → publish
	stored   chan *group // publish → project
	stop     context.CancelCauseFunc
	ctx      context.Context
	finished sync.WaitGroup

	last     uint64 // sequence of this producer's last event; owned by publish
	erasures uint64
	check    eventlog.Checkpoint // owned by project
	written  eventlog.Checkpoint // the one that is stored
	writer   string              // this intake, in checkpoints

	mu      sync.Mutex
	moved   *sync.Cond
	taken   uint64 // tickets given out
	settled uint64 // tickets whose group is projected
	overlay map[string]*pending
	aliases map[string]string
	cursor  json.RawMessage
	backlog atomic.Bool // first import
	fresh   *freshness

	seen, before map[string]struct{}   // source events since the cursor, and since the one before it
	again        map[[16]byte]struct{} // fingerprints of source events after the cursor that this run began at: they come again, over many cursors
}

// item is one call of the producer on its way to a decision.
type item struct {
	change bridge.Change
	cursor json.RawMessage // commit, when not nil
	force  bool            // write the cursor to the state bucket now
	ticket uint64

	keys   []string // what it claims; set when a group is formed
	states int      // how many of keys, from the first on, are states: the object's own first
}

// Open takes over a producer's name: it waits for the lease, brings STIX_LATEST up to the log, and reads the cursor. pub may publish
// this producer's subjects. It blocks for the catch-up.
func Open(ctx context.Context, store *eventlog.Store, pub *nats.Conn, lease *eventlog.Lease, opt Options) (*Intake, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.MaxDelete == 0 {
		opt.MaxDelete = 10
	}
	in := &Intake{
		opt: opt, store: store, pub: pub, lease: lease, log: opt.Log,
		in:     make(chan item, 2*groupChanges),                 // lets a group form while the one before is stored
		groups: make(chan *group), stored: make(chan *group, 1), // the projection of one group overlaps the storing of the next
		writer: rand.Text(), overlay: map[string]*pending{}, aliases: map[string]string{}, seen: map[string]struct{}{}, again: map[[16]byte]struct{}{},
	}
	in.moved = sync.NewCond(&in.mu)
	in.backlog.Store(opt.Backfill)
	if err := in.recover(ctx); err != nil {
		return nil, err
	}
	in.ctx, in.stop = context.WithCancelCause(context.Background())
	in.finished.Add(3)
	go in.run(in.decide)
	go in.run(in.publish)
	go in.run(in.project)
	if lease != nil {
		go func() {
			select {
			case <-lease.Lost():
				in.fail(lease.Err())
			case <-in.ctx.Done():
			}
		}()
	}
	return in, nil
}

// at is a point where a crash may come; tests make it come.
func (in *Intake) at(point string) error {
	if in.opt.inject == nil {
		return nil
	}
	return in.opt.inject(point)
}

func (in *Intake) run(stage func() error) {
	defer in.finished.Done()
	if err := stage(); err != nil {
		in.fail(err)
	}
}

// fail ends the intake; everybody who waits gets the reason.
func (in *Intake) fail(err error) {
	in.stop(err)
	in.mu.Lock()
	in.moved.Broadcast()
	in.mu.Unlock()
}

// SetBackfill says whether events are marked as the first import's.
func (in *Intake) SetBackfill(on bool) { in.backlog.Store(on) }

// Put implements bridge.Intake; it blocks while two groups wait.
func (in *Intake) Put(ctx context.Context, changes ...bridge.Change) error {
	for _, c := range changes {
		if c.Object.IsZero() || !eventlog.SafeType(c.Object.Type()) {
			return fmt.Errorf("object %q of type %q cannot be an event", c.Object.ID(), c.Object.Type())
		}
		if c.Object.Type() == "marking-definition" {
			in.markings.Learn(c.Object)
		}
		if err := in.send(ctx, item{change: c}); err != nil {
			return err
		}
	}
	return nil
}

// Commit implements bridge.Intake. A producer's first cursor is durable when it returns: without one, a successor would begin anew, and
// with start: new that is later than what was read already.
func (in *Intake) Commit(ctx context.Context, cursor json.RawMessage) error {
	in.mu.Lock()
	first := in.cursor == nil
	in.mu.Unlock()
	if err := in.send(ctx, item{cursor: cursor}); err != nil || !first {
		return err
	}
	return in.Flush(ctx)
}

// Flush blocks until everything put before is in the log and projected, and writes a waiting cursor to the state bucket.
func (in *Intake) Flush(ctx context.Context) error {
	if err := in.send(ctx, item{force: true}); err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	ticket := in.taken
	stop := context.AfterFunc(ctx, func() { in.mu.Lock(); in.moved.Broadcast(); in.mu.Unlock() })
	defer stop()
	for in.settled < ticket {
		if err := context.Cause(in.ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		in.moved.Wait()
	}
	return nil
}

func (in *Intake) send(ctx context.Context, it item) error {
	in.mu.Lock()
	in.taken++
	it.ticket = in.taken
	in.mu.Unlock()
	select {
	case in.in <- it:
		return nil
	case <-in.ctx.Done():
		return context.Cause(in.ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Cursor implements bridge.Intake.
func (in *Intake) Cursor(context.Context) (json.RawMessage, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.cursor, nil
}

// Learn implements bridge.Intake.
func (in *Intake) Learn(o stix.Object) { in.markings.Learn(o) }

// Gap implements bridge.Intake.
func (in *Intake) Gap(_ context.Context, g bridge.Gap) error {
	in.log.Warn("gap in the source's history", "from", g.From, "to", g.To, "detail", g.Detail, "healed", g.Healed)
	if in.opt.OnGap != nil {
		in.opt.OnGap(g)
	}
	return nil
}

// Progress implements bridge.Intake.
func (in *Intake) Progress(done, total int64, unit string) {
	if in.opt.OnProgress != nil {
		in.opt.OnProgress(done, total, unit)
	}
}

// Health implements bridge.Intake.
func (in *Intake) Health(err error) {
	if in.opt.OnHealth != nil {
		in.opt.OnHealth(err)
	}
}

// maxRejected is how much of rejected input a dead letter keeps, in bytes.
const maxRejected = 1 << 20

// Reject implements bridge.Intake: it returns when the dead letter is durable.
func (in *Intake) Reject(ctx context.Context, r bridge.Rejected) error {
	in.Counts.add("rejected", "", 1)
	raw := r.Raw
	if len(raw) > maxRejected {
		raw = raw[:maxRejected]
	}
	d := eventlog.Letter{Name: in.opt.Producer, Side: "producer", Class: eventlog.ClassIntake, Reason: r.Reason, Position: r.Position, Raw: raw}
	return in.persist(ctx, "store a dead letter", func(ctx context.Context) error { return in.store.Letters.Store(ctx, d) })
}

// persist tries until it works, ctx ends or the intake does: what must be stored waits for the store.
func (in *Intake) persist(ctx context.Context, what string, f func(context.Context) error) error {
	wait := 50 * time.Millisecond
	var told string
	for {
		err := f(ctx)
		switch {
		case err == nil:
			if told != "" {
				in.log.Info("works again", "what", what)
				in.Health(nil)
			}
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, eventlog.ErrFenced):
			return err
		}
		if err.Error() != told {
			told = err.Error()
			in.log.Warn("retrying", "what", what, "error", err)
			in.Health(fmt.Errorf("%s: %w", what, err))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// Close ends the intake after what was put is stored, within ctx. It does not release the lease.
func (in *Intake) Close(ctx context.Context) error {
	err := in.Flush(ctx)
	in.fail(errClosed)
	in.finished.Wait()
	if err == nil {
		err = in.advance(ctx)
	}
	return err
}

var errClosed = errors.New("intake is closed")

// Err returns why the intake ended, or nil while it runs.
func (in *Intake) Err() error { return context.Cause(in.ctx) }
