package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// publish stores groups in STIX, one after the other, each behind the fence.
func (in *Intake) publish() error {
	for {
		select {
		case <-in.ctx.Done():
			return nil
		case g := <-in.groups:
			if in.opt.Pressure != nil && len(g.msgs) > 0 {
				if err := in.opt.Pressure(in.ctx, weight(g.msgs)); err != nil {
					return err
				}
			}
			if err := in.storeGroup(g); err != nil {
				return err
			}
			if err := in.at(stored); err != nil {
				return err
			}
			select {
			case in.stored <- g:
			case <-in.ctx.Done():
				return nil
			}
		}
	}
}

// weight is about what the server counts for messages, in bytes.
func weight(msgs []*nats.Msg) (n int64) {
	const frame = 64 // of a record, and of what the commit adds to the headers
	for _, m := range msgs {
		n += int64(len(m.Subject) + len(m.Data) + frame)
		for key, values := range m.Header {
			for _, v := range values {
				n += int64(len(key) + len(v) + 4)
			}
		}
	}
	return n
}

// Points between two writes, for tests.
const (
	stored    = "stored"    // the events are in STIX, STIX_LATEST does not know them
	projected = "projected" // STIX_LATEST knows them, a cursor without event is not stored
)

// storeGroup stores a group; more messages than one atomic batch holds (merges of many sources) go out in several, a retract never apart from
// its successor.
func (in *Intake) storeGroup(g *group) error {
	for from := 0; from < len(g.msgs); {
		to := min(from+eventlog.MaxBatch, len(g.msgs))
		if to < len(g.msgs) && g.after[to-1] == nil {
			to--
		}
		last, err := in.commit(g.msgs[from:to])
		if err != nil {
			return err
		}
		now := time.Now().UTC()
		in.mu.Lock()
		for i := from; i < to; i++ {
			if p := g.after[i]; p != nil {
				p.entry.Seq = last - uint64(to-1-i)
				p.entry.Time = now
				p.known = true
			}
		}
		in.moved.Broadcast()
		in.mu.Unlock()
		in.last = last
		from = to
	}
	return nil
}

// commit stores one batch and returns the sequence of its last event. Errors of the store are waited out; a fence that
// another writer moved is final.
func (in *Intake) commit(msgs []*nats.Msg) (uint64, error) {
	var last uint64
	mine := msgs[len(msgs)-1].Header[eventlog.HeaderMsgID][0]
	err := in.persist(in.ctx, "store events", func(ctx context.Context) error {
		eventlog.Fence(msgs[0], in.opt.Producer, in.last)
		seq, err := eventlog.Commit(ctx, in.pub, msgs)
		if err == nil && seq <= in.last { // taken for one that is stored already: it would be lost without a word
			return fmt.Errorf("event id %s: %w: the log took it for event %d", mine, eventlog.ErrFenced, seq)
		}
		if err == nil {
			last = seq
			return nil
		}
		if !errors.Is(err, eventlog.ErrUnknown) && !errors.Is(err, eventlog.ErrFenced) {
			return err
		}
		// Either the answer got lost, or the log is not where it was: its last event of ours tells which.
		r, ok, look := in.store.Log.LastOf(ctx, in.opt.Producer)
		switch {
		case look != nil:
			return fmt.Errorf("%w (and then: %w)", unfenced(err), look)
		case ok && r.EventID == mine:
			last = r.Seq
			return nil
		case ok && r.Seq > in.last:
			return fmt.Errorf("event log of %s: %w: last event is %d, ours was %d", in.opt.Producer, eventlog.ErrFenced, r.Seq, in.last)
		}
		if have := r.Seq; have < in.last { // retention or an erasure took our last event
			in.log.Info("fence lowered", "from", in.last, "to", have)
			in.last = have
		}
		return unfenced(err)
	})
	return last, err
}

// unfenced turns a fence error that may be tried again into a plain one.
func unfenced(err error) error {
	if errors.Is(err, eventlog.ErrFenced) {
		return errors.New(err.Error())
	}
	return err
}

// project writes what groups led to into STIX_LATEST, and keeps the cursor in the state bucket while no event carries it.
func (in *Intake) project() error {
	var waiting *idleCursor
	tick := time.NewTicker(cursorEvery)
	defer tick.Stop()
	idle := time.NewTicker(advanceEvery)
	defer idle.Stop()
	for {
		var g *group
		select {
		case <-in.ctx.Done():
			return nil
		case <-tick.C:
		case <-idle.C:
			if err := in.advance(in.ctx); err != nil && in.ctx.Err() == nil {
				in.log.Warn("checkpoint", "error", err) // the next one will do
			}
		case g = <-in.stored:
		}
		force := g == nil
		if g != nil {
			before := in.check.EventSeq
			if err := in.projectGroup(g); err != nil {
				return err
			}
			if err := in.at(projected); err != nil {
				return err
			}
			force = g.force
			if g.cursor != nil {
				in.mu.Lock()
				in.cursor = g.cursor
				in.mu.Unlock()
				waiting = nil
				if g.at < 0 {
					waiting = &idleCursor{g.cursor, before}
				}
			}
		}
		if force && waiting != nil {
			if err := in.keepCursor(in.ctx, *waiting); err != nil {
				return err
			}
			waiting = nil
		}
		if g != nil {
			in.mu.Lock()
			in.settled = g.ticket
			in.moved.Broadcast()
			in.mu.Unlock()
		}
	}
}

// cursorEvery is how often a cursor without events goes to the state bucket.
const cursorEvery = 5 * time.Second

// advanceEvery is how often an idle producer's checkpoint follows the log.
const advanceEvery = 10 * time.Minute

// idleCursor is a cursor that no event carried.
type idleCursor struct {
	Cursor json.RawMessage `json:"cursor"`
	Seq    uint64          `json:"seq"` // the producer's last event before it: a cursor on a later event counts more, and what is after may come again
}

func (in *Intake) cursorKey() string { return "cursor." + in.opt.Producer }

func (in *Intake) keepCursor(ctx context.Context, c idleCursor) error {
	return in.persist(ctx, "store the cursor", func(ctx context.Context) error {
		_, err := in.store.State.Put(ctx, in.cursorKey(), c)
		return err
	})
}

func (in *Intake) projectGroup(g *group) error {
	if len(g.msgs) == 0 {
		return nil
	}
	final := make(map[string]*pending, len(g.keys))
	for i, p := range g.after {
		if p != nil {
			final[g.keys[i]] = p
		}
	}
	var batch []*nats.Msg
	for _, p := range final {
		batch = append(batch, in.entryMessage(p.entry))
	}
	if g.at >= 0 && g.cursor != nil {
		in.check.Cursor = g.cursor
		in.check.CursorSeq = seqAt(g, g.at)
	}
	end := g.after[len(g.after)-1].entry.Seq
	in.check.Seq, in.check.EventSeq = end, end
	if err := in.writeLatest(in.ctx, batch); err != nil {
		return err
	}
	in.mu.Lock()
	for k, p := range final {
		if in.overlay[k] == p {
			delete(in.overlay, k)
		}
	}
	in.mu.Unlock()
	return nil
}

// seqAt is the sequence of message i; a retract that its successor follows comes directly before it.
func seqAt(g *group, i int) uint64 {
	if p := g.after[i]; p != nil {
		return p.entry.Seq
	}
	return g.after[i+1].entry.Seq - 1
}

// entryMessage makes the message; what is no longer asserted leaves STIX_LATEST when the log forgets it too.
func (in *Intake) entryMessage(e eventlog.Entry) *nats.Msg {
	m := e.Message()
	if !e.Asserted() && in.opt.MaxAge >= time.Second {
		m.Header["Nats-TTL"] = []string{strconv.FormatInt(int64(in.opt.MaxAge/time.Second), 10) + "s"}
	}
	return m
}

// writeLatest stores entries and then the checkpoint, each batch behind the checkpoint that was stored last: who was overtaken can turn
// nothing back. A batch that is not the last one repeats the old checkpoint, so that none is ahead of its entries.
func (in *Intake) writeLatest(ctx context.Context, entries []*nats.Msg) error {
	for {
		n, size := 0, 0
		for n < len(entries) && n < eventlog.MaxBatch-1 && (n == 0 || size+len(entries[n].Data) < eventlog.MaxBatchBytes) {
			size += len(entries[n].Data)
			n++
		}
		check := in.written
		if n == len(entries) {
			check = in.check
		}
		check.Writer, check.At = in.writer, in.written.At
		batch := append([]*nats.Msg{check.Fenced(in.opt.Producer)}, entries[:n]...)
		entries = entries[n:]
		err := in.persist(ctx, "update STIX_LATEST", func(ctx context.Context) error {
			last, err := eventlog.Commit(ctx, in.pub, batch)
			if err == nil {
				check.At = last - uint64(len(batch)-1)
				return nil
			}
			if !errors.Is(err, eventlog.ErrUnknown) && !errors.Is(err, eventlog.ErrFenced) {
				return err
			}
			// Either the answer got lost, or another writer has taken over: the checkpoint that is there tells which.
			have, look := in.store.Latest.Checkpoint(ctx, in.opt.Producer)
			switch {
			case look != nil:
				return fmt.Errorf("%w (and then: %w)", unfenced(err), look)
			case have.At == check.At: // nothing was stored
				return unfenced(err)
			case have.Writer == in.writer && string(batch[0].Data) == string(have.Message(in.opt.Producer).Data):
				check.At = have.At
				return nil
			}
			return fmt.Errorf("STIX_LATEST of %s: %w", in.opt.Producer, eventlog.ErrFenced)
		})
		if err != nil {
			return err
		}
		in.written = check
		in.store.Latest.Saw(in.opt.Producer, check.At)
		if in.opt.Expiry != nil {
			for i, m := range batch {
				if until := m.Header["Valid-Until"]; len(until) > 0 {
					in.opt.Expiry(until[0], check.At+uint64(i))
				}
			}
		}
		if len(entries) == 0 {
			return nil
		}
	}
}

// advance moves the checkpoint of a producer that has nothing under way to the end of the log, so that retention does not pass it.
func (in *Intake) advance(ctx context.Context) error {
	_, last, err := in.store.Log.Bounds(ctx)
	if err != nil || last <= in.check.Seq {
		return err
	}
	in.mu.Lock()
	busy := len(in.overlay) > 0 // looked at after the end of the log: what is stored up to there is projected
	in.mu.Unlock()
	if busy {
		return nil
	}
	in.check.Seq = last
	return in.writeLatest(ctx, nil)
}
