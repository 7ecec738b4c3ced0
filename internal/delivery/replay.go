package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
)

// Order asks for a span of the log to be delivered again. Without Exact it folds: each object that an event of the span touched is
// delivered once, in its current state, or retracted, with the gates and the TLP of today.
type Order struct {
	ID    string          `json:"id"`
	From  uint64          `json:"from"` // sequences, both inclusive
	To    uint64          `json:"to"`
	Spec  json.RawMessage `json:"spec,omitempty"` // which events of the span, in the form that Config.Match reads; empty: all
	Exact bool            `json:"exact,omitempty"`
	Rate  int             `json:"rate,omitempty"` // most events a second and runner; 0: Config.ReplayRate
	Made  time.Time       `json:"made,omitzero"`
	At    map[int]uint64  `json:"-"` // by partition: everything up to here is done
}

// replaying is an order that is being carried out.
type replaying struct {
	r     *Runner
	order Order
	match func(bridge.Event) bool
	front frontier
	seen  map[[16]byte]bool // objects of the span that were brought in: whether as one that had passed
	saved time.Time
	next  time.Time // the pace
	done  chan struct{}
	err   error
}

// seenMost bounds what a replay remembers of a span; beyond it an object may be delivered again.
const seenMost = 1 << 20

// Check says why an order cannot be carried out.
func (r *Runner) Check(o Order) error {
	if r.cfg.Traits.State && o.Exact {
		return fmt.Errorf("consumer %s mirrors state: an exact replay would put old versions over new ones; leave exact out", r.cfg.Name)
	}
	if r.cfg.Latest == nil {
		return fmt.Errorf("consumer %s: a replay needs the latest objects", r.cfg.Name)
	}
	if o.From == 0 || o.To < o.From {
		return fmt.Errorf("consumer %s: a replay from %d to %d is no span", r.cfg.Name, o.From, o.To)
	}
	_, err := r.replaying(o)
	return err
}

// Replay carries an order out and blocks until it is done, by this runner and by those that own other partitions. When ctx ends it
// returns, and the replay goes on. An order survives a restart when Config.Orders is set; the live position does not move.
func (r *Runner) Replay(ctx context.Context, o Order) error {
	if err := r.Check(o); err != nil {
		return err
	}
	if o.Made.IsZero() {
		o.Made = time.Now().UTC()
	}
	p, err := r.replaying(o)
	if err != nil {
		return err
	}
	if r.cfg.Orders != nil {
		if err := r.cfg.Orders.Save(ctx, o); err != nil {
			return r.wrap("storing the replay", err)
		}
	}
	r.mu.Lock()
	switch {
	case r.closing || r.over != nil:
		r.mu.Unlock()
		return errEnding
	case r.replays[o.ID] != nil:
		r.mu.Unlock()
		return fmt.Errorf("consumer %s: a replay %s is under way", r.cfg.Name, o.ID)
	}
	r.replays[o.ID] = p
	if r.live {
		r.begin(p)
	}
	r.mu.Unlock()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.ended:
		return errEnding
	case <-p.done:
		return p.err
	}
}

func (r *Runner) replaying(o Order) (*replaying, error) {
	p := &replaying{r: r, order: o, match: func(bridge.Event) bool { return true }, seen: map[[16]byte]bool{}, done: make(chan struct{})}
	if len(o.Spec) > 0 {
		if r.cfg.Match == nil {
			return nil, fmt.Errorf("consumer %s: a replay cannot be filtered here", r.cfg.Name)
		}
		match, err := r.cfg.Match(o.Spec)
		if err != nil {
			return nil, r.wrap("reading the filter of the replay", err)
		}
		p.match = match
	}
	p.front.pass(p.from())
	return p, nil
}

// from is up to where all partitions of this runner are done.
func (p *replaying) from() uint64 {
	low := p.order.To
	for _, part := range p.r.share {
		low = min(low, max(p.order.At[part], p.order.From-1))
	}
	return low
}

// resumeReplays begins what a run before did not finish, and what was asked for since.
func (r *Runner) resumeReplays(ctx context.Context) {
	var all []Order
	if r.cfg.Orders != nil {
		if r.again(ctx, "replay", func() (err error) { all, err = r.cfg.Orders.List(ctx); return err }) != nil {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range all {
		if r.replays[o.ID] != nil {
			continue
		}
		p, err := r.replaying(o)
		if err != nil {
			r.trouble["replay "+o.ID] = err.Error()
			continue
		}
		r.replays[o.ID] = p
	}
	r.live = true
	for _, p := range r.replays {
		r.begin(p)
	}
}

// begin starts the reader of a replay; r.mu is held.
func (r *Runner) begin(p *replaying) {
	if r.closing {
		return
	}
	r.others.Go(func() {
		err := p.run(r.ctx)
		r.mu.Lock()
		delete(r.replays, p.order.ID)
		r.mu.Unlock()
		p.err = err
		close(p.done)
	})
}

// run carries the order out; it returns early only when ctx ends, or the order cannot be carried out.
func (p *replaying) run(ctx context.Context) error {
	r := p.r
	err := r.again(ctx, "replay", func() error {
		_, seen := p.front.at()
		if seen >= p.order.To {
			return nil
		}
		return r.cfg.Log.Read(ctx, seen+1, p.order.To, r.filter(), func(i Item) error { return p.take(ctx, i) })
	})
	if err != nil {
		return err
	}
	p.front.pass(p.order.To)
	if err := p.wait(ctx); err != nil {
		return err
	}
	if r.cfg.Orders == nil {
		return nil
	}
	for { // until the others are done, too
		over := false
		err := r.again(ctx, "replay", func() (err error) { over, err = r.cfg.Orders.Note(ctx, p.order, p.parts()); return err })
		if over || err != nil {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// parts is up to where each partition of this runner is done.
func (p *replaying) parts() map[int]uint64 {
	done, _ := p.front.at()
	at := map[int]uint64{}
	for _, part := range p.r.share {
		at[part] = max(done, p.order.At[part])
	}
	return at
}

// wait blocks until everything that was brought in is done.
func (p *replaying) wait(ctx context.Context) error {
	defer context.AfterFunc(ctx, p.r.wake)()
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	for ctx.Err() == nil {
		if done, _ := p.front.at(); done >= p.order.To {
			return nil
		}
		p.r.space.Wait()
	}
	return context.Cause(ctx)
}

// take looks at one event of the span and brings its object into the lanes.
func (p *replaying) take(ctx context.Context, i Item) error {
	if i.Mark > 0 {
		p.front.pass(min(i.Mark, p.order.To))
		return nil
	}
	e := i.Event
	var a *aside
	paced := false
	if e.Seq > p.order.At[i.Partition] { // else done before, when the partition was another's
		a, paced = p.aside(e)
	}
	if a == nil {
		p.front.pass(e.Seq)
	} else {
		if paced {
			if err := p.keepPace(ctx); err != nil {
				return err
			}
		}
		at := p.front.begin(e.Seq)
		a.done = func(ending) { p.front.end(at) }
		if err := p.r.inject(ctx, e.Object.ID(), bridge.Event{Seq: e.Seq, Time: e.Time}, a); err != nil {
			return err
		}
	}
	return p.save(ctx)
}

// aside says what is to be decided about an event of the span, or nil; paced: it will most likely be delivered.
func (p *replaying) aside(e bridge.Event) (a *aside, paced bool) {
	d := &p.r.decide
	v := d.gate.Object(gate.Of(e))
	if (!v.Pass && gate.Never(v.Gate)) || !p.match(e) {
		return nil, false
	}
	if p.order.Exact {
		seq := e.Seq
		return &aside{decide: func(ctx context.Context) (decision, error) { return d.exact(ctx, seq) }}, v.Pass
	}
	sum := sha256.Sum256([]byte(e.Object.ID()))
	key := [16]byte(sum[:])
	before, again := p.seen[key]
	if again && (before || !v.Pass) {
		return nil, false
	}
	if len(p.seen) >= seenMost {
		clear(p.seen)
	}
	p.seen[key] = v.Pass
	f := fold{typ: e.Object.Type(), id: e.Object.ID(), seq: e.Seq, passed: v.Pass, again: again}
	return &aside{decide: func(ctx context.Context) (decision, error) { return d.fold(ctx, f) }}, v.Pass
}

// keepPace sleeps so that no more than the rate is brought in.
func (p *replaying) keepPace(ctx context.Context) error {
	now := time.Now()
	p.next = later(p.next, now).Add(time.Second / time.Duration(or(p.order.Rate, p.r.cfg.ReplayRate)))
	if ahead := p.next.Sub(now); ahead > 10*time.Millisecond {
		return pause(ctx, ahead)
	}
	return nil
}

// save stores from time to time how far the replay is.
func (p *replaying) save(ctx context.Context) error {
	if p.r.cfg.Orders == nil || time.Since(p.saved) < time.Second {
		return nil
	}
	p.saved = time.Now()
	if _, err := p.r.cfg.Orders.Note(ctx, p.order, p.parts()); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// progress is how far the replay is, in sequences of its span.
func (p *replaying) progress() bridge.ProgressStatus {
	done, _ := p.front.at()
	return bridge.ProgressStatus{Done: int64(done - min(p.order.From-1, done)), Total: int64(p.order.To - p.order.From + 1), Unit: "events"}
}
