package opencti

import (
	"context"
	"fmt"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/sse"
)

// cursor is where a connection goes on. All events up to and including ID are in the event log.
type cursor struct {
	ID           string `json:"id,omitempty"`
	RecoverUntil string `json:"recover_until,omitempty"` // a recovery from ID is under way, up to this date
	Begun        bool   `json:"begun,omitempty"`         // the start is behind us: what is missing from here on is a gap
	Empty        bool   `json:"empty,omitempty"`         // the history held nothing when we came to ID
	Recovered    bool   `json:"recovered,omitempty"`     // ID is where a recovery ended, and the history may begin just after it
}

// follower moves the cursor. Several events can share one id, and a connection that asks for what comes after an id gets none of
// them: so the position is the id before the newest one, until something with a greater id shows that the newest is complete. During a
// recovery ids are dates of objects, in no order: so the position stays until the first id past the recovery's end.
type follower struct {
	p   *producer
	run *bridge.Run
	cur cursor

	at       position // of the cursor
	group    position // newest id seen; its events may not all have come
	until    position // end of the recovery under way
	progress uint64   // events of knowledge and heartbeats so far
	tooLarge string   // id of an event that was over the limit once
	gapAt    string   // cursor at the last gap that was told
	last     time.Time
	dirty    bool // the cursor moved since the last commit
	moved    bool // at is ahead of cur.ID
}

// load takes the stored cursor, or begins where the configuration says.
func (f *follower) load() error {
	if f.cur.ID == "" && !f.cur.Begun {
		switch f.p.Start {
		case "new":
		case "", "all":
			f.cur.ID = position{}.String()
		default:
			f.cur.ID = f.p.since
		}
	}
	if f.cur.ID != "" {
		at, ok := parsePosition(f.cur.ID)
		if !ok {
			return fmt.Errorf("cursor %q is no position of a live stream", f.cur.ID)
		}
		f.at = at
	}
	return nil
}

// begin prepares for a connection from the cursor on.
func (f *follower) begin() {
	f.settle()
	f.group = f.at
	f.until = position{}
	if t, err := time.Parse(time.RFC3339, f.cur.RecoverUntil); err == nil {
		f.until = position{ms: t.UnixMilli()}
	}
}

// settle writes the position into the cursor. Each event moves the position, and few of them are asked for its text.
func (f *follower) settle() {
	if f.moved {
		f.cur.ID, f.cur.Recovered, f.moved = f.at.String(), false, false
	}
}

const lastOfMillisecond = 1 << 30

// restart puts the cursor to a position, past which everything is still to come.
func (f *follower) restart(at position) {
	f.at, f.group, f.moved = at, at, false
	f.cur.ID, f.cur.Begun, f.cur.Recovered = at.String(), true, false
	f.dirty = true
}

// arrived moves the cursor as far as an event or heartbeat with this id allows; call it before the event is put.
func (f *follower) arrived(ctx context.Context, id position) error {
	switch {
	case f.cur.RecoverUntil != "":
		if !f.until.before(id) {
			return nil
		}
		f.run.Log.Info("the platform's database is read", "until", f.cur.RecoverUntil)
		f.cur.RecoverUntil = ""
		// The platform goes on strictly after the first event of that millisecond, which may be a delete: so ask again from just before.
		f.restart(position{f.until.ms - 1, lastOfMillisecond})
		f.cur.Recovered = true
		if err := f.commit(ctx); err != nil {
			return err
		}
		return errAgain
	case f.group.before(id):
		if f.at != f.group {
			f.at, f.moved, f.dirty = f.group, true, true
		}
		f.group = id
	}
	if f.dirty && time.Since(f.last) >= f.p.commit {
		return f.commit(ctx)
	}
	return nil
}

func (f *follower) commit(ctx context.Context) error {
	f.settle()
	f.dirty, f.last = false, time.Now()
	f.p.note(func(r *report) { r.position, r.recovering = f.cur.ID, f.cur.RecoverUntil })
	return fail(f.run.Commit(ctx, f.cur))
}

// skip passes an event by that is over the limit a second time.
func (f *follower) skip(ctx context.Context, e *sse.EventTooLargeError) error {
	f.tooLarge = ""
	id, ok := parsePosition(e.ID)
	if !ok {
		return nil // no way past it; health says what it is
	}
	reason := fmt.Errorf("%w: the %s event was passed by, with what may have followed it under the same id", e, e.Name)
	if err := f.run.Reject(ctx, nil, e.ID, reason); err != nil {
		return err
	}
	if f.cur.RecoverUntil != "" { // ids in a recovery are dates: what is older and was still to come is passed by, too
		if err := f.run.Gap(ctx, bridge.Gap{From: f.cur.ID, To: e.ID, Detail: "an object over the size limit ended the reading of the platform's database; it goes on at the date of that object"}); err != nil {
			return err
		}
	}
	f.at, f.group, f.moved = id, id, false
	f.cur.ID = id.String()
	f.dirty, f.last = false, time.Now()
	return f.run.Commit(ctx, f.cur)
}
