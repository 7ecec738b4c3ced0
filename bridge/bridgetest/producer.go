package bridgetest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/httpx"
	"github.com/stixbridge/stixbridge/stix"
)

// ProducerCase says how a kind of producer is tested.
type ProducerCase struct {
	Plugin  bridge.Plugin[bridge.Producer]
	Source  func(t testing.TB) http.Handler // the source when it is well; always the same content
	Section func(url string) string         // the plugin's own configuration for a source at this URL, JSON
	Objects int                             // distinct objects that the source holds

	Conditional bool // the plugin asks with validators
	Closed      bool // every reference resolves within what is read
	// Settled is asked, for a live source, whether all that Source gives has arrived; nil: Objects objects are there.
	Settled func(*Recorder) bool
	// Golden is a file that holds what a first read makes: one line for each event and each dead letter. It is written instead of compared when
	// the environment has BRIDGETEST_UPDATE=1. Empty: none.
	Golden  string
	Secrets []string // texts out of Section that no error may show
	// Skip leaves out checks, by name, with the reason why they do not apply.
	Skip map[string]string
}

// Producer runs the suite over one kind.
func Producer(t *testing.T, c ProducerCase) {
	t.Helper()
	if c.Settled == nil {
		c.Settled = func(r *Recorder) bool { return len(r.State()) >= c.Objects }
	}
	check := func(name string, f func(*testing.T)) {
		t.Run(name, func(t *testing.T) {
			if why := c.Skip[name]; why != "" {
				t.Skip(why)
			}
			leaks := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, leaks) }) // runs after what the check itself cleans up
			f(t)
		})
	}
	check("everything arrives", c.arrives)
	check("the same again makes no event", c.again)
	check("killed and resumed, nothing is lost and nothing comes twice", c.killed)
	check("an answer 304 makes no event and keeps the cursor", c.notModified)
	check("faults of the source are errors of the right kind and change nothing", c.faults)
	check("a redirect to an address inside is refused", c.redirected)
	check("after a fault everything arrives", c.heals)
	check("cancelled while the source is silent, it returns within a second", c.cancelSilent)
	check("cancelled while the log is full, it returns within a second", c.cancelBlocked)
}

// patience is how long a producer may take to notice a kill or to recover.
var patience = 20 * time.Second

// bench is one source and what runs against it.
type bench struct {
	c    ProducerCase
	srv  *Server
	http *http.Client
	dir  string

	vault Vault
}

func (c ProducerCase) bench(t *testing.T) *bench {
	t.Helper()
	b := &bench{c: c, srv: Serve(t, c.Source(t)), dir: t.TempDir()}
	b.http = httpx.New(httpx.Options{Trusted: []string{b.srv.URL}, Retry: -1, Idle: 500 * time.Millisecond})
	t.Cleanup(b.http.CloseIdleConnections)
	return b
}

// run makes a new instance, as a restart does, and lets it produce once: to its end, or for a live source until it has settled.
func (b *bench) run(ctx context.Context, t *testing.T, r *Recorder) error {
	t.Helper()
	p, err := b.c.Plugin.Build(json.RawMessage(b.c.Section(b.srv.URL)))
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	defer closeIf(t, p)
	run := bridge.NewRun("under-test", r, b.http, nil)
	run.Dir, run.Once = b.dir, true
	if s, ok := p.(bridge.Starter); ok {
		if err := s.Start(ctx, b.vault.Env("under-test", b.dir, b.http)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	if !b.c.Plugin.Traits.Live {
		return p.Produce(ctx, run)
	}
	live, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.Produce(live, run) }()
	settled := make(chan error, 1)
	go func() { settled <- r.Wait(live, b.c.Settled) }()
	select {
	case err := <-ended:
		stop()
		<-settled
		return err
	case err := <-settled:
		stop()
		if perr := <-ended; err != nil && perr != nil {
			return perr
		}
		return err
	}
}

func (b *bench) mustRun(t *testing.T, r *Recorder) {
	t.Helper()
	if err := b.run(t.Context(), t, r); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

func (c ProducerCase) arrives(t *testing.T) {
	b, r := c.bench(t), NewRecorder()
	b.mustRun(t, r)
	objs := r.Objects()
	if len(objs) != c.Objects {
		t.Errorf("%d objects, want %d", len(objs), c.Objects)
	}
	if len(r.LastCursor()) == 0 {
		t.Error("no cursor was committed")
	}
	ids := r.State()
	for _, o := range objs {
		again, err := stix.Parse(o.Raw())
		if err != nil || again.ID() != o.ID() || again.Type() != o.Type() {
			t.Errorf("%s does not parse again: %v", o.ID(), err)
		}
		for _, ref := range o.Refs() {
			if _, ok := ids[ref]; !ok && c.Closed {
				t.Errorf("%s refers to %s, which was not read", o.ID(), ref)
			}
		}
	}
	if c.Golden != "" {
		c.golden(t, r, b.srv.URL)
	}
	for _, x := range r.Rejected() {
		if x.Position == "" || x.Reason == "" {
			t.Errorf("rejected without position or reason: %+v", x)
		}
	}
}

func (c ProducerCase) again(t *testing.T) {
	b, r := c.bench(t), NewRecorder()
	b.mustRun(t, r)
	first := len(r.Events())
	b.mustRun(t, r)
	if n := len(r.Events()); n != first {
		t.Errorf("%d events after the first run, %d after the second", first, n)
	}
	other := NewRecorder()
	b.mustRun(t, other)
	if diff := cmp.Diff(r.State(), other.State()); diff != "" {
		t.Errorf("two first reads differ: %s", diff)
	}
}

func (c ProducerCase) killed(t *testing.T) {
	b, full := c.bench(t), NewRecorder()
	b.mustRun(t, full)
	want, puts, events := full.State(), full.Figures().Puts, len(full.Events())
	for _, k := range []int{0, 1, puts / 3, puts / 2, puts - 1} {
		for _, lose := range []bool{false, true} {
			b.dir = t.TempDir()
			r := NewRecorder()
			r.KillAfter(k)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			err := b.run(ctx, t, r)
			cancel()
			if !errors.Is(err, ErrKilled) {
				t.Fatalf("killed after %d of %d: the error of Put was not returned: %v", k, puts, err)
			}
			r.Restart(lose)
			b.mustRun(t, r)
			if diff := cmp.Diff(want, r.State()); diff != "" {
				t.Errorf("killed after %d of %d, lost the uncommitted: %v: %s", k, puts, lose, diff)
			}
			if n := len(r.Events()); n != events {
				t.Errorf("killed after %d of %d, lost the uncommitted: %v: %d events, want %d", k, puts, lose, n, events)
			}
		}
	}
}

func (c ProducerCase) notModified(t *testing.T) {
	if !c.Conditional {
		t.Skip("the plugin does not ask with validators")
	}
	b, r := c.bench(t), NewRecorder()
	b.mustRun(t, r)
	cursor, events := string(r.LastCursor()), len(r.Events())
	quiet(t, errors.New(cursor), c.Secrets) // status shows it
	b.mustRun(t, r)
	if b.srv.NotModified() == 0 {
		t.Error("it did not ask with the validators of the last answer")
	}
	if len(r.Events()) != events || string(r.LastCursor()) != cursor {
		t.Errorf("events %d → %d, cursor %s → %s", events, len(r.Events()), cursor, r.LastCursor())
	}
}

// polledFaults with what the error must be.
var polledFaults = []struct {
	Fault
	right func(error) bool
}{
	{Unauthorized, bridge.IsPaused},
	{Forbidden, bridge.IsPaused},
	{TooMany, waits(120 * time.Second)},
	{Busy, waits(120 * time.Second)},
	{TooManyBare, plain}, {Broken, plain}, {Down, plain}, {Missing, plain}, {Reset, plain}, {Cut, plain}, {HTML, plain}, {Bomb, plain}, {Hang, plain},
}

func plain(err error) bool {
	_, waits := bridge.Wait(err)
	return err != nil && !waits && !bridge.IsPaused(err) && !bridge.IsPermanent(err)
}

func waits(d time.Duration) func(error) bool {
	return func(err error) bool { got, ok := bridge.Wait(err); return ok && got == d }
}

func (c ProducerCase) faults(t *testing.T) {
	if c.Plugin.Traits.Live {
		t.Skip("a live source mends itself: see the check after this one")
	}
	b, done := c.bench(t), NewRecorder()
	b.mustRun(t, done)
	for _, f := range polledFaults {
		t.Run(f.Name, func(t *testing.T) {
			if why := c.Skip[f.Name]; why != "" {
				t.Skip(why)
			}
			for _, r := range []*Recorder{NewRecorder(), done} {
				cursor, events, letters := string(r.LastCursor()), len(r.Events()), len(r.Rejected())
				b.srv.Fault(f.Fault, -1)
				err := b.run(t.Context(), t, r)
				b.srv.Heal()
				if !f.right(err) {
					t.Errorf("got %v", err)
				}
				quiet(t, err, c.Secrets)
				if string(r.LastCursor()) != cursor {
					t.Errorf("the cursor moved from %s to %s", cursor, r.LastCursor())
				}
				if len(r.Events()) != events || len(r.Rejected()) != letters {
					t.Errorf("%d events and %d dead letters came of it", len(r.Events())-events, len(r.Rejected())-letters)
				}
			}
		})
	}
}

func (c ProducerCase) redirected(t *testing.T) {
	inside := Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the address inside was asked") }))
	b, r := c.bench(t), NewRecorder()
	b.srv.Fault(Fault{To: inside.URL}, -1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := b.run(ctx, t, r); err == nil {
		t.Error("no error")
	}
	if len(r.Events()) != 0 {
		t.Errorf("%d events", len(r.Events()))
	}
}

func (c ProducerCase) heals(t *testing.T) {
	full := NewRecorder()
	c.bench(t).mustRun(t, full)
	for _, f := range []Fault{Unauthorized, TooManyBare, Broken, Reset, Cut, HTML} {
		if t.Failed() {
			return // the next would take as long
		}
		t.Run(f.Name, func(t *testing.T) {
			if why := c.Skip[f.Name]; why != "" {
				t.Skip(why)
			}
			b, r := c.bench(t), NewRecorder()
			b.srv.Fault(f, 1)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var errs []error
			for {
				err := b.run(ctx, t, r)
				if err == nil {
					break
				}
				errs = append(errs, err)
				if ctx.Err() != nil {
					t.Fatalf("it did not recover: %v", errors.Join(errs...))
				}
			}
			for _, h := range r.Healths() {
				if h != nil {
					errs = append(errs, h)
				}
			}
			if len(errs) == 0 {
				t.Error("the fault was passed over in silence")
			}
			if diff := cmp.Diff(full.State(), r.State()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func (c ProducerCase) cancelSilent(t *testing.T) {
	b, r := c.bench(t), NewRecorder()
	b.http = httpx.New(httpx.Options{Trusted: []string{b.srv.URL}, Retry: -1, Idle: -1}) // nothing but the cancel ends it
	t.Cleanup(b.http.CloseIdleConnections)
	b.srv.Fault(Hang, -1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := b.srv.Requests()
	go func() { // cancel once the request is there
		for b.srv.Requests() == asked && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	returnsInTime(ctx, t, func() error { return b.run(ctx, t, r) })
}

func (c ProducerCase) cancelBlocked(t *testing.T) {
	b, r := c.bench(t), NewRecorder()
	r.Block()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := r.moved
	go func() { // cancel once Put waits
		select {
		case <-first:
			cancel()
		case <-ctx.Done():
		}
	}()
	returnsInTime(ctx, t, func() error { return b.run(ctx, t, r) })
}

// returnsInTime fails unless f returns an error within a second of ctx's end.
func returnsInTime(ctx context.Context, t *testing.T, f func() error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	select {
	case err := <-ended:
		if ctx.Err() == nil {
			t.Fatalf("returned before it was cancelled: %v", err)
		}
		if err == nil {
			t.Error("cancelled, it returned no error")
		}
		return
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("cancelled, it returned no error")
		}
	case <-time.After(time.Second):
		t.Error("still running a second after it was cancelled") // and may be for ever: no wait for it
	}
}
