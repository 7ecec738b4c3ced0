package intake

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/seal"
	"github.com/stixbridge/stixbridge/stix"
)

// ErrRebuild says that the log no longer reaches back to where STIX_LATEST ends, so that events may be missing between.
var ErrRebuild = errors.New("the event log no longer reaches back to the checkpoint")

// recover brings STIX_LATEST up to the log before the first decision, and reads cursor, fence and what the source may repeat.
func (in *Intake) recover(ctx context.Context) error {
	p := in.opt.Producer
	var err error
	if in.seal, err = seal.Load(ctx, in.store.State); err != nil {
		return err
	}
	c, err := in.store.Latest.Checkpoint(ctx, p)
	if err != nil {
		return err
	}
	in.check, in.written = c, c
	last, ok, err := in.store.Log.LastOf(ctx, p)
	if err != nil {
		return err
	}
	if ok {
		in.last = last.Seq
	}
	if in.erasures, err = Erasures(ctx, in.store.State); err != nil {
		return err
	}
	first, end, err := in.store.Log.Bounds(ctx)
	if err != nil {
		return err
	}
	if c.Seq > end {
		return fmt.Errorf("producer %s: STIX_LATEST is at event %d, the event log ends at %d: the log is older than the rest; restore log and state from one backup", p, c.Seq, end)
	}
	if c.Seq > 0 && first > c.Seq+1 && !in.opt.AcceptRebuild {
		return fmt.Errorf("producer %s: %w: the checkpoint is %d, the log begins at %d; restore a backup, or go on with what there is: --accept-rebuild", p, ErrRebuild, c.Seq, first)
	}
	if ok && last.Seq > c.Seq {
		if err := in.catchUp(ctx, c.Seq+1); err != nil {
			return err
		}
	}
	in.cursor = in.check.Cursor
	var idle idleCursor
	if rev, err := in.store.State.Get(ctx, in.cursorKey(), &idle); err != nil {
		return err
	} else if rev > 0 && idle.Seq >= in.check.CursorSeq {
		in.cursor = idle.Cursor
	}
	if err := in.repeats(ctx, max(in.check.CursorSeq, idle.Seq)+1); err != nil {
		return err
	}
	return in.known(ctx)
}

// catchUp projects the events after the checkpoint.
func (in *Intake) catchUp(ctx context.Context, from uint64) error {
	final := map[string]eventlog.Entry{}
	flush := func() error {
		msgs := make([]*nats.Msg, 0, len(final))
		for _, e := range final {
			msgs = append(msgs, in.entryMessage(e))
		}
		clear(final)
		return in.writeLatest(ctx, msgs)
	}
	n := 0
	err := in.store.Log.Read(ctx, "catch-up-"+in.opt.Producer, from, eventlog.ReadOptions{Filter: eventlog.Filter([]string{in.opt.Producer}, nil)}, func(r eventlog.Record) error {
		n++
		e, err := project(r)
		if err != nil {
			return err
		}
		if r.Cursor != "" {
			cursor, err := in.seal.Open(r.Cursor)
			if err != nil {
				return fmt.Errorf("event %d: %w", r.Seq, err)
			}
			in.check.Cursor, in.check.CursorSeq = cursor, r.Seq
		}
		in.check.Seq, in.check.EventSeq = r.Seq, r.Seq
		if e.passing {
			return nil
		}
		final[eventlog.LatestSubject(r.Type, r.ID, r.Producer)] = e.Entry
		if len(final) >= eventlog.MaxBatch-1 {
			return flush()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("bring STIX_LATEST of %s up to the log: %w", in.opt.Producer, err)
	}
	in.log.Info("brought STIX_LATEST up to the log", "producer", in.opt.Producer, "events", n)
	return flush()
}

// projection is the state that a stored event leads to.
type projection struct {
	eventlog.Entry
	passing bool // its successor follows; no state of its own
}

// project returns what STIX_LATEST must hold after an event.
func project(r eventlog.Record) (p projection, err error) {
	c, err := bridge.ParseContext([]byte(r.Context))
	if err != nil {
		return p, fmt.Errorf("event %d: %w", r.Seq, err)
	}
	p.passing = r.Op == bridge.Retract && c.Next
	data := r.Data
	e := eventlog.Entry{Subject: r.Subject, ID: r.ID, EventID: r.EventID, Seq: r.Seq, Time: r.Time, Context: kept(c), Blob: r.Blob, Data: data}
	o, err := stix.Parse(data)
	if err != nil {
		return p, fmt.Errorf("event %d: %w", r.Seq, err)
	}
	sum := o.Digest()
	e.Digest, e.ValidUntil = hex.EncodeToString(sum[:16]), o.ValidUntil()
	e.Alias = alias(o)
	p.Entry = e
	return p, nil
}

// alias is the platform's own id of an object.
func alias(o stix.Object) string {
	raw, ok := o.Get("extensions", stix.OpenCTIExtension, "id")
	if !ok {
		return ""
	}
	var id string
	if json.Unmarshal(raw, &id) != nil {
		return ""
	}
	return id
}

// repeats collects the source events after the cursor: a source that resumes there sends them again.
func (in *Intake) repeats(ctx context.Context, from uint64) error {
	if !in.opt.Aliases || in.check.EventSeq < from {
		return nil
	}
	return in.store.Log.Read(ctx, "repeats-"+in.opt.Producer, from, eventlog.ReadOptions{Filter: eventlog.Filter([]string{in.opt.Producer}, nil)}, func(r eventlog.Record) error {
		c, err := bridge.ParseContext([]byte(r.Context))
		if err == nil && c.SourceEvent != "" {
			in.again[fingerprint(c.SourceEvent)] = struct{}{}
		}
		return nil
	})
}

// known reads what the decisions need to know of the objects so far: aliases, marking-definitions, and whether there are any at all.
func (in *Intake) known(ctx context.Context) error {
	any := false
	filter := eventlog.LatestFilter("*", in.opt.Producer)
	if err := in.store.Latest.Scan(ctx, "marks-"+in.opt.Producer, eventlog.LatestFilter("marking-definition", in.opt.Producer), 0, false, func(e eventlog.Entry) error {
		if o, err := e.Object(); err == nil {
			in.markings.Learn(o)
		}
		return nil
	}); err != nil {
		return err
	}
	err := in.store.Latest.Scan(ctx, "known-"+in.opt.Producer, filter, 0, true, func(e eventlog.Entry) error {
		any = true
		if !in.opt.Aliases {
			return errEnough
		}
		if e.Alias != "" {
			in.aliases[e.Alias] = e.ID
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if !any {
		in.fresh = &freshness{ids: map[uint64]struct{}{}}
	}
	return nil
}

var errEnough = errors.New("enough")
