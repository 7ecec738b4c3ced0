package opencti

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/opencti"
	"github.com/stixbridge/stixbridge/stix"
)

const (
	maxWorks      = 200      // open works that are looked at
	maxNoted      = 64 << 20 // bytes of objects kept to make dead letters of
	worksKey      = "works"
	errorsPerWork = 100 // that the platform keeps
)

// works are how the platform's users, and we, see what becomes of what was sent.
type works struct {
	s *sink

	taking sync.Mutex // held while a work is opened or expectations are added

	mu      sync.Mutex
	current *work
	open    []*work // those that are not complete, the current one last
	bytes   int     // of objects in notes
	done    tally   // of complete works
}

type tally struct{ expected, imported, failed int }

type work struct {
	id     string
	opened time.Time
	said   int // expectations told to the platform
	spare  int // of these, for messages that were not published
	took   int
	notes  map[string]bridge.Event // by object id
	seen   map[string]bool         // errors that were read
	track  opencti.Tracking
	closed bool
}

// take returns the work for n more objects and has told the platform to expect them; with queue_protocol api the platform counts for itself.
func (w *works) take(ctx context.Context, ses *session, n int) (*work, error) {
	w.taking.Lock()
	defer w.taking.Unlock()
	s := w.s
	w.mu.Lock()
	cur := w.current
	w.mu.Unlock()
	if cur != nil && (time.Since(cur.opened) >= s.work || cur.took+n > s.workSize && cur.took > 0) {
		w.close(ctx, cur)
		cur = nil
	}
	for range 2 {
		if cur == nil {
			name := fmt.Sprintf("%s @ %s", cmp.Or(s.ConnectorName, "stixbridge "+s.lent().Name), time.Now().UTC().Format(time.RFC3339))
			// A plain work is complete when its counts meet, so that nobody has to say when all is sent.
			id, err := s.client.AddWork(ctx, ses.id, name, s.QueueProtocol == "amqp")
			if err != nil {
				return nil, w.trouble(ses, err)
			}
			cur = &work{id: id, opened: time.Now(), notes: map[string]bridge.Event{}, seen: map[string]bool{}}
			w.mu.Lock()
			w.current = cur
			w.open = append(w.open, cur)
			w.mu.Unlock()
			w.save(ctx)
		}
		w.mu.Lock()
		more := n - min(n, cur.spare)
		w.mu.Unlock()
		if more > 0 && s.QueueProtocol == "amqp" {
			err := s.client.Expect(ctx, cur.id, more)
			if opencti.Named(err, opencti.WorkNotAlive) { // somebody cancelled it in the platform
				w.forget(ctx, cur)
				cur = nil
				continue
			}
			if err != nil {
				return nil, w.trouble(ses, err)
			}
		}
		w.mu.Lock()
		cur.spare -= n - more
		cur.said += more
		cur.took += n
		w.mu.Unlock()
		return cur, nil
	}
	return nil, fmt.Errorf("the platform cancels every work that is opened")
}

func (w *works) trouble(ses *session, err error) error {
	if opencti.Unregistered(err) {
		w.s.drop(ses)
	}
	return w.s.explain(err)
}

// giveBack keeps expectations of messages that were not published for the next ones.
func (w *works) giveBack(k *work, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k.spare += n
}

// note keeps an event until its work is complete.
func (w *works) note(k *work, e bridge.Event) {
	e = e.Lend(nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(e.Object.Raw()); w.bytes+n > maxNoted {
		e.Object = stix.Stub(e.Object.Type(), e.Object.ID())
	} else {
		w.bytes += n
	}
	if old, ok := k.notes[e.Object.ID()]; ok {
		w.bytes -= len(old.Object.Raw())
	}
	k.notes[e.Object.ID()] = e
}

// close tells the platform that a work gets no more.
func (w *works) close(ctx context.Context, k *work) {
	w.mu.Lock()
	if w.current == k {
		w.current = nil
	}
	n, spare := k.took, k.spare
	k.spare, k.said, k.closed = 0, k.said-k.spare, true
	w.mu.Unlock()
	if w.s.QueueProtocol == "api" { // marked as processed it would look complete before the platform's worker began
		return
	}
	if spare > 0 { // nobody will report on these
		if err := w.s.client.Expect(ctx, k.id, -spare); err != nil {
			w.s.lent().Log.Debug("expectations not taken back", "work", k.id, "error", err)
		}
	}
	if err := w.s.client.Processed(ctx, k.id, fmt.Sprintf("%d objects sent", n), false); err != nil {
		w.s.lent().Log.Debug("work not marked as processed", "work", k.id, "error", err)
	}
}

// finish closes the current work at the end of the process.
func (w *works) finish(ctx context.Context) {
	w.mu.Lock()
	cur := w.current
	w.mu.Unlock()
	if cur != nil {
		w.close(ctx, cur)
	}
	w.look(ctx)
}

// look reads how far the open works are, and makes dead letters of their errors.
func (w *works) look(ctx context.Context) {
	w.mu.Lock()
	open := slices.Clone(w.open)
	cur := w.current
	w.mu.Unlock()
	if cur != nil && time.Since(cur.opened) >= w.s.work {
		w.taking.Lock()
		w.close(ctx, cur)
		w.taking.Unlock()
	}
	for _, k := range open {
		if ctx.Err() != nil {
			return
		}
		got, err := w.s.client.Work(ctx, k.id)
		if err != nil {
			return // next time
		}
		if got == nil { // deleted in the platform
			w.forget(ctx, k)
			continue
		}
		for i, e := range got.Errors {
			key := fmt.Sprint(e.Timestamp, e.Sequence, i, e.ObjectID())
			w.mu.Lock()
			seen := k.seen[key]
			w.mu.Unlock()
			if seen {
				continue
			}
			if err := w.letter(ctx, k, e); err != nil {
				return
			}
			w.mu.Lock()
			k.seen[key] = true
			w.mu.Unlock()
		}
		w.mu.Lock()
		k.track = got.Tracking
		complete := k.closed && (got.Status == "complete" || got.Tracking.Processed >= k.said && k.said > 0)
		w.mu.Unlock()
		if complete {
			if n := len(got.Errors); n >= errorsPerWork {
				w.s.lent().Log.Warn("a work has more errors than the platform keeps: some objects were not imported and have no dead letter", "work", k.id, "errors", n)
			}
			w.mu.Lock()
			w.done.expected += got.Tracking.Expected
			w.done.failed += len(got.Errors)
			w.done.imported += max(0, got.Tracking.Processed-len(got.Errors))
			w.mu.Unlock()
			w.forget(ctx, k)
		}
	}
	w.mu.Lock()
	var oldest *work
	if len(w.open) > maxWorks {
		oldest = w.open[0]
	}
	w.mu.Unlock()
	if oldest != nil {
		w.s.counts.hold(worksGivenUp)
		w.s.lent().Log.Warn("a work is not complete and no longer looked at: its worker may have dropped messages", "work", oldest.id, "expected", oldest.said, "processed", oldest.track.Processed)
		w.forget(ctx, oldest)
	}
}

// letter makes a dead letter of an object that was not imported.
func (w *works) letter(ctx context.Context, k *work, e opencti.WorkError) error {
	env := w.s.lent()
	id := e.ObjectID()
	w.mu.Lock()
	ev, known := k.notes[id]
	w.mu.Unlock()
	if known && ev.Object.Equal(stix.Stub(ev.Object.Type(), id)) { // only a stub was kept
		if o, ok, err := env.Lookup(ctx, id, ev.Producer); err == nil && ok {
			ev.Object = o
		}
	}
	if !known { // of an earlier process, or an object that went along
		o, err := stix.Parse([]byte(e.Source))
		if err != nil {
			w.s.counts.hold(errorsUnnamed)
			env.Log.Warn("the platform reports an error of an object that it does not name", "work", k.id, "error", e.Message)
			return nil
		}
		if out, err := clean(o); err == nil {
			o = out.object
		}
		ev = bridge.Event{ID: k.id + "#" + id, Time: time.Now().UTC(), Op: bridge.Update, Object: o, Attempt: 1}
	}
	w.s.counts.reject()
	return env.DeadLetter(ctx, ev, "not imported by the platform: "+e.Message)
}

func (w *works) forget(ctx context.Context, k *work) {
	w.mu.Lock()
	for _, e := range k.notes {
		w.bytes -= len(e.Object.Raw())
	}
	k.notes = map[string]bridge.Event{}
	w.open = slices.DeleteFunc(w.open, func(o *work) bool { return o == k })
	if w.current == k {
		w.current = nil
	}
	w.mu.Unlock()
	w.save(ctx)
}

// saved is what outlives the process.
type saved struct {
	ID     string    `json:"id"`
	Opened time.Time `json:"opened"`
}

func (w *works) save(ctx context.Context) {
	env := w.s.lent()
	if env.Store == nil {
		return
	}
	w.mu.Lock()
	list := make([]saved, 0, len(w.open))
	for _, k := range w.open {
		list = append(list, saved{k.id, k.opened})
	}
	w.mu.Unlock()
	b, err := json.Marshal(list)
	if err == nil {
		err = env.Store(ctx, worksKey, b)
	}
	if err != nil && ctx.Err() == nil {
		env.Log.Debug("list of open works not kept", "error", err)
	}
}

// load takes up the works of an earlier process.
func (w *works) load(ctx context.Context) {
	env := w.s.lent()
	if env.Load == nil {
		return
	}
	b, err := env.Load(ctx, worksKey)
	if err != nil || len(b) == 0 {
		return
	}
	var list []saved
	if json.Unmarshal(b, &list) != nil {
		return
	}
	w.mu.Lock()
	var left []*work
	for _, l := range list {
		left = append(left, &work{id: l.ID, opened: l.Opened, closed: true, notes: map[string]bridge.Event{}, seen: map[string]bool{}})
	}
	w.open = append(left, w.open...)
	w.mu.Unlock()
	for _, k := range left {
		_ = w.s.client.Processed(ctx, k.id, "interrupted", false) // whoever opened it is gone
	}
}
