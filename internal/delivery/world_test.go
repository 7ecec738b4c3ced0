package delivery

import (
	"context"
	"fmt"
	"slices"
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
