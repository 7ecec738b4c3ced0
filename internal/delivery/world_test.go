package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/gate"
	"github.com/stixbridge/stixbridge/stix"
)

// world is an event log with its projection, durable positions and letters, all in memory, and able to misbehave. A world
// outlives the runners that are started on it; crash makes everything that a runner still does from then on without effect.
type world struct {
	t testing.TB

	mu      sync.Mutex
	events  []bridge.Event // sequence = index + 1
	gone    map[uint64]bool
	first   uint64
	grew    chan struct{}
	latest  map[string]Assertion // by id and producer
	lag     int                  // events that the projection is behind until somebody settles
	state   *State
	letters map[string]Letter
	orders  map[string]Order
	saves   int
	gets    int

	failSave  func(Change) error
	failStore func(Letter) error
	failGet   func(seq uint64) error
	slowSave  time.Duration
	pace      time.Duration // sleep after each put

	parts int
}

func newWorld(t testing.TB) *world {
	return &world{t: t, grew: make(chan struct{}), latest: map[string]Assertion{}, letters: map[string]Letter{}, orders: map[string]Order{}, gone: map[uint64]bool{}, first: 1, parts: 16}
}

// obj makes an indicator with a short name; v distinguishes versions.
func obj(name string, v int, more ...string) stix.Object {
	extra := ""
	for _, m := range more {
		extra += "," + m
	}
	o, err := stix.Parse(fmt.Appendf(nil, `{"type":"indicator","id":"indicator--%s","v":%d%s}`, name, v, extra))
	if err != nil {
		panic(err)
	}
	return o
}

// put appends an event and returns its sequence. Prev is filled in; a zero TLP is green.
func (w *world) put(e bridge.Event) uint64 {
	defer func() { time.Sleep(w.pace) }()
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Producer == "" {
		e.Producer = "p"
	}
	if e.TLP == stix.Unmarked {
		e.TLP = stix.Green
	}
	if e.Op == "" {
		e.Op = bridge.Update
	}
	e.Seq = uint64(len(w.events) + 1)
	e.ID = fmt.Sprintf("e%d", e.Seq)
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	for i := len(w.events) - 1; i >= 0 && e.Context.Prev == 0; i-- {
		if old := w.events[i]; old.Producer == e.Producer && old.Object.ID() == e.Object.ID() {
			e.Context.Prev = old.Seq
		}
	}
	if e.Context.Prev == 0 && e.Op == bridge.Update {
		e.Op = bridge.Create
	}
	w.events = append(w.events, e)
	if w.lag == 0 {
		w.project(e)
	}
	close(w.grew)
	w.grew = make(chan struct{})
	return e.Seq
}

func (w *world) project(e bridge.Event) {
	w.latest[e.Object.ID()+" "+e.Producer] = Assertion{Producer: e.Producer, Seq: e.Seq, EventID: e.ID, Time: e.Time, Op: e.Op, TLP: e.TLP, Object: e.Object, Context: e.Context}
}

// keep starts the log at seq: retention took what was before.
func (w *world) keep(seq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first = seq
}

// life is a world as one runner sees it; after its end nothing that the runner does has an effect.
type life struct {
	*world
	dead chan struct{}
}

var errDead = errors.New("the process was killed")

func (l *life) over() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

func (l *life) Read(ctx context.Context, from, to uint64, f Filter, yield func(Item) error) error {
	for at := from; ; {
		l.mu.Lock()
		at = max(at, l.first)
		last, grew := uint64(len(l.events)), l.grew
		if to > 0 {
			last = min(last, to)
		}
		if l.over() || at > last {
			l.mu.Unlock()
			if to > 0 {
				return nil
			}
			if l.over() {
				return errDead
			}
			if at > from && at > 1 && (len(f.Producers) > 0 || len(f.Types) > 0) {
				if err := yield(Item{Mark: at - 1}); err != nil {
					return err
				}
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-l.dead:
				return errDead
			case <-grew:
			}
			continue
		}
		e := l.events[at-1]
		skip := l.gone[at] || (len(f.Producers) > 0 && !slices.Contains(f.Producers, e.Producer)) || (len(f.Types) > 0 && !slices.Contains(f.Types, e.Object.Type()))
		l.mu.Unlock()
		at++
		if skip {
			continue
		}
		if err := yield(Item{Event: e, Partition: partitionOf(e.Object.ID(), l.parts)}); err != nil {
			return err
		}
	}
}

func (l *life) Get(_ context.Context, seq uint64) (bridge.Event, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gets++
	if l.failGet != nil {
		if err := l.failGet(seq); err != nil {
			return bridge.Event{}, false, err
		}
	}
	if seq < l.first || seq > uint64(len(l.events)) || l.gone[seq] {
		return bridge.Event{}, false, nil
	}
	return l.events[seq-1], true, nil
}

func (l *life) FirstSeq(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, nil
}

func (l *life) LastSeq(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.events)), nil
}

func (l *life) Of(_ context.Context, typ, id string) (all []Assertion, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, a := range l.latest {
		if strings.HasPrefix(k, id+" ") {
			all = append(all, a)
		}
	}
	return all, nil
}

func (l *life) Settle(_ context.Context, producer string, seq uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events[:seq] {
		if (e.Producer == producer || producer == "") && l.latest[e.Object.ID()+" "+e.Producer].Seq < e.Seq {
			l.project(e)
		}
	}
	return nil
}

func (l *life) Scan(ctx context.Context, after uint64, yield func(Assertion, uint64) error) error {
	l.mu.Lock()
	all := slices.SortedFunc(maps.Values(l.latest), func(a, b Assertion) int { return int(a.Seq) - int(b.Seq) })
	l.mu.Unlock()
	for _, a := range all {
		if l.over() {
			return errDead
		}
		if a.Seq > after { // the storage position is the sequence: an update moves an entry to the end
			if err := yield(a, a.Seq); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *life) Load(context.Context) (State, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == nil {
		return State{}, false, nil
	}
	return State{Floors: slices.Clone(l.state.Floors), Phase: l.state.Phase}, true, nil
}

func (l *life) Create(_ context.Context, s State) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == nil {
		l.state = &s
	}
	return nil
}

func (l *life) Save(ctx context.Context, c Change) error {
	if l.slowSave > 0 {
		time.Sleep(l.slowSave)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		return errDead
	}
	if l.failSave != nil {
		if err := l.failSave(c); err != nil {
			return err
		}
	}
	l.saves++
	for p, f := range c.Floors {
		if f < l.state.Floors[p] {
			l.t.Errorf("the floor of partition %d went back from %d to %d", p, l.state.Floors[p], f)
		}
		l.state.Floors[p] = f
	}
	if c.Phase != nil {
		l.state.Phase = *c.Phase
	}
	return nil
}

func (l *life) Store(_ context.Context, letter Letter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		return errDead
	}
	if l.failStore != nil {
		if err := l.failStore(letter); err != nil {
			return err
		}
	}
	l.letters[fmt.Sprintf("%d %s", letter.Event.Seq, letter.Event.Op)] = letter
	return nil
}

// lettered is the sequences in the dead letters.
func (w *world) lettered() []uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []uint64
	for _, l := range w.letters {
		all = append(all, l.Event.Seq)
	}
	slices.Sort(all)
	return all
}

// target records what arrives; answer decides what it says.
type target struct {
	mu      sync.Mutex
	got     []bridge.Event
	calls   int
	begun   []time.Time
	biggest int
	answer  func(ctx context.Context, batch []bridge.Event) error // before anything is recorded; its BatchError spares the others
	at      func(call int) error
}

func (t *target) Deliver(ctx context.Context, batch []bridge.Event) error {
	t.mu.Lock()
	t.calls++
	t.biggest = max(t.biggest, len(batch))
	t.begun = append(t.begun, time.Now())
	answer := t.answer
	t.mu.Unlock()
	var err error
	if answer != nil {
		err = answer(ctx, batch)
	}
	var some *bridge.BatchError
	if err != nil && !errors.As(err, &some) {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, e := range batch {
		if some == nil || some.Failed[i] == nil {
			t.got = append(t.got, e)
		}
	}
	return err
}

func (t *target) set(f func(ctx context.Context, batch []bridge.Event) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answer = f
}

// seqs is what arrived, in order.
func (t *target) seqs() []uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]uint64, len(t.got))
	for i, e := range t.got {
		all[i] = e.Seq
	}
	return all
}

// story is what arrived, readable: op, name and version of the object.
func (t *target) story() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var s []string
	for _, e := range t.got {
		v, _ := e.Object.Get("v")
		s = append(s, fmt.Sprintf("%s %s%s@%d", e.Op, strings.TrimPrefix(e.Object.ID(), "indicator--"), v, e.Seq))
	}
	return strings.Join(s, ", ")
}

// run is a runner under test.
type run struct {
	*Runner
	t    testing.TB
	life *life
	stop context.CancelFunc
	done chan error
}

func (w *world) config(sink bridge.Sink) Config {
	g, err := gate.Compile(bridge.ConsumerConfig{}, bridge.Traits{}, gate.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return Config{Name: "c", Sink: sink, Gate: g, Start: StartAll}
}

// gates compiles a consumer's gates.
func (w *world) gates(c bridge.ConsumerConfig, traits bridge.Traits, opt gate.Options) *gate.Gate {
	g, err := gate.Compile(c, traits, opt)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

// start runs a consumer on the world until stop, crash or the end of the test.
func (w *world) start(cfg Config) *run {
	w.t.Helper()
	l := &life{world: w, dead: make(chan struct{})}
	cfg.Log, cfg.Latest, cfg.Positions, cfg.Letters, cfg.Orders = l, l, l, l, orders{l}
	r, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	out := &run{Runner: r, t: w.t, life: l, stop: cancel, done: make(chan error, 1)}
	if err := r.Prepare(ctx); err != nil {
		w.t.Fatal(err)
	}
	go func() { out.done <- r.Run(ctx) }()
	return out
}

// drain waits until the position has passed the end of the log, and ends the run.
func (r *run) drain() {
	r.t.Helper()
	last, _ := r.life.LastSeq(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := r.Wait(ctx, last); err != nil {
		r.t.Fatalf("waiting for %d at %d: %v", last, r.Status(last).Position, err)
	}
	r.end()
}

// end shuts down in order.
func (r *run) end() {
	r.t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Fatal(err)
	}
}

// crash ends the process in the middle of whatever it does.
func (r *run) crash() {
	close(r.life.dead)
	r.stop()
	<-r.done
}

type orders struct{ l *life }

func (o orders) Save(_ context.Context, x Order) error {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	if o.l.over() {
		return errDead
	}
	o.l.orders[x.ID] = x
	return nil
}

func (o orders) Remove(_ context.Context, id string) error {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	if o.l.over() {
		return errDead
	}
	delete(o.l.orders, id)
	return nil
}

func (o orders) List(context.Context) ([]Order, error) {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	return slices.Collect(maps.Values(o.l.orders)), nil
}
