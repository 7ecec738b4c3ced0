package stix

import (
	"context"
	"fmt"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// Changes go to the runtime in chunks; a commit, from which a restart goes on, follows now and then.
const (
	chunkObjects  = 512
	chunkBytes    = 1 << 20
	commitObjects = 5000
	commitBytes   = 8 << 20
)

// publish is the second look: it puts what the cursor has not dealt with. When the document breaks off, all before the break is
// published and committed, and the error returned.
func (p *producer) publish(ctx context.Context, run *bridge.Run, doc *document, s *survey, cur *cursor) error {
	w := &writer{ctx: ctx, run: run, cur: cur, at: cur.Index, total: int64(s.elements)}
	err := each(&mortal{ctx, doc.file}, func(r *stix.Reader, e stix.Element) error {
		if e.Index < cur.Index { // dealt with before a restart
			return nil
		}
		switch {
		case e.Err != nil:
			if err := w.flush(); err != nil {
				return err
			}
			place := fmt.Sprintf("%s#%d", p.name, e.Index)
			if err := run.Reject(ctx, e.Raw, place, e.Err); err != nil {
				return failure{err}
			}
		case !s.superseded(e):
			bundle := r.Bundle()
			if bundle == "" {
				bundle = s.bundle
			}
			w.add(bridge.Change{Object: e.Object, Context: bridge.Context{Bundle: bundle, Position: e.Index, Backfill: !cur.Imported}}, len(e.Raw))
		}
		return w.pass(e.Index + 1)
	}, func(*stix.Reader) {})
	if f, ok := err.(failure); ok {
		return f.error
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := w.flush(); err != nil {
		return err.(failure).error
	}
	if s.repeated > 0 {
		run.Log.Debug("ids occur more than once; the newest counts", "source", p.name, "superseded", s.repeated)
	}
	if s.broken == nil && err != nil { // the first look got further
		return explain(doc, err)
	}
	if s.broken != nil && w.at > 0 {
		if err := run.Commit(ctx, *cur); err != nil {
			return err
		}
	}
	return s.broken
}

// failure tells an error of the runtime from one of the document.
type failure struct{ error }

// writer gathers changes into chunks and chunks into commits.
type writer struct {
	ctx   context.Context
	run   *bridge.Run
	cur   *cursor
	total int64

	at     int // elements dealt with, put or not
	chunk  []bridge.Change
	size   int // bytes in chunk
	since  int // elements since the last commit
	volume int // bytes since then
}

func (w *writer) add(c bridge.Change, size int) {
	w.chunk = append(w.chunk, c)
	w.size += size
}

// pass moves behind an element and writes when enough has come together.
func (w *writer) pass(at int) error {
	w.at = at
	w.since++
	if len(w.chunk) >= chunkObjects || w.size >= chunkBytes {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.since < commitObjects && w.volume+w.size < commitBytes {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.since, w.volume = 0, 0
	if err := w.run.Commit(w.ctx, *w.cur); err != nil {
		return failure{err}
	}
	return nil
}

// flush puts the chunk; the cursor then stands behind it. Put may keep the slice, so the next chunk gets a new one.
func (w *writer) flush() error {
	if len(w.chunk) > 0 {
		if err := w.run.Put(w.ctx, w.chunk...); err != nil {
			return failure{err}
		}
		w.volume += w.size
		w.chunk, w.size = make([]bridge.Change, 0, chunkObjects), 0
	}
	w.cur.Index = w.at
	w.run.Progress(int64(w.at), w.total, "objects")
	return nil
}
