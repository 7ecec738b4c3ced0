package opencti_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/consumers/opencti"
	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
	live "github.com/stixbridge/stixbridge/producers/opencti"
	"github.com/stixbridge/stixbridge/stix"
)

// house is a bridge in miniature: live streams into recorders, and from there to sinks.
type house struct {
	t         *testing.T
	mu        sync.Mutex
	recorders map[string]*bridgetest.Recorder
	seq       uint64
}

func newHouse(t *testing.T) *house {
	return &house{t: t, recorders: map[string]*bridgetest.Recorder{}}
}

func (h *house) recorder(producer string) *bridgetest.Recorder {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.recorders[producer] == nil {
		h.recorders[producer] = bridgetest.NewRecorder()
	}
	return h.recorders[producer]
}

func (h *house) lookup(_ context.Context, id, producer string) (stix.Object, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, r := range h.recorders {
		if producer != "" && name != producer {
			continue
		}
		for _, o := range r.Objects() {
			if o.ID() == id {
				return o, true, nil
			}
		}
	}
	return stix.Object{}, false, nil
}

// follow reads a platform's live stream into a recorder until the test ends, or stop is called.
func (h *house) follow(p *octitest.Platform, producer string) (stop func()) {
	h.t.Helper()
	made, err := live.Plugin.Build(fmt.Appendf(nil, `{"url":%q,"token":%q,"stream":%q}`, p.URL, p.Reader, p.Stream))
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = made.Produce(ctx, bridge.NewRun(producer, h.recorder(producer), nil, slog.New(slog.DiscardHandler)))
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	h.t.Cleanup(stop)
	return stop
}

// sink makes a sink that writes to a platform by its API.
func (h *house) sink(p *octitest.Platform, name string) bridge.Sink {
	h.t.Helper()
	s, err := opencti.Plugin.Build(fmt.Appendf(nil, `{"url":%q,"token":%q,"queue_protocol":"api"}`, p.URL, p.Token))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = s.(interface{ Close() error }).Close() })
	env := new(bridgetest.Vault).Env(name, h.t.TempDir(), nil)
	env.Lookup = h.lookup
	env.Current = func(ctx context.Context, id, producer string) (bridge.Event, bool, error) {
		o, ok, err := h.lookup(ctx, id, producer)
		if !ok {
			o, ok, err = h.lookup(ctx, id, "")
		}
		return bridge.Event{Seq: 1, Producer: producer, Op: bridge.Update, Object: o}, ok, err
	}
	if err := s.(bridge.Starter).Start(h.t.Context(), env); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// deliver hands a recorder's events from the n-th on to a sink and returns how many there are.
func (h *house) deliver(s bridge.Sink, producer string, n int) int {
	h.t.Helper()
	events := h.recorder(producer).Events()
	for _, r := range events[n:] {
		h.seq++
		e := bridgetest.NewEvent(h.seq, r.Op, r.Change.Object)
		e.Producer, e.Context = producer, r.Change.Context
		for _, src := range r.Change.Sources {
			e.Context.Sources = append(e.Context.Sources, src.ID())
		}
		if err := s.Deliver(h.t.Context(), []bridge.Event{e}); err != nil {
			h.t.Fatal(err)
		}
	}
	return len(events)
}

// holds waits until a recorder asserts what the platform holds.
func (h *house) holds(p *octitest.Platform, producer string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	err := h.recorder(producer).Wait(ctx, func(r *bridgetest.Recorder) bool {
		objs := r.Objects()
		if len(objs) != len(p.IDs()) {
			return false
		}
		for _, o := range objs {
			want, _ := json.Marshal(p.Object(o.ID()))
			if w, err := stix.Parse(want); err != nil || !o.Equal(w) {
				return false
			}
		}
		return true
	})
	if err != nil {
		h.t.Fatalf("%s does not follow: %d objects, the platform has %d", producer, len(h.recorder(producer).Objects()), len(p.IDs()))
	}
}

var feed = []string{
	`{"type":"identity","spec_version":"2.1","id":"identity--00000001-0000-4000-8000-000000000000","created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:00.000Z","name":"Acme","identity_class":"organization"}`,
	`{"type":"malware","spec_version":"2.1","id":"malware--00000002-0000-4000-8000-000000000000","created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:00.000Z","name":"Dropper","is_family":true,"created_by_ref":"identity--00000001-0000-4000-8000-000000000000"}`,
	`{"type":"indicator","spec_version":"2.1","id":"indicator--00000003-0000-4000-8000-000000000000","created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:00.000Z","name":"i","pattern":"[url:value='http://x.test/']","pattern_type":"stix","valid_from":"2026-11-20T10:00:00.000Z","labels":["apt"],"created_by_ref":"identity--00000001-0000-4000-8000-000000000000"}`,
	`{"type":"relationship","spec_version":"2.1","id":"relationship--00000004-0000-4000-8000-000000000000","created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:00.000Z","relationship_type":"indicates","source_ref":"indicator--00000003-0000-4000-8000-000000000000","target_ref":"malware--00000002-0000-4000-8000-000000000000"}`,
}

func TestAFeedIntoThePlatformComesBackOnceAndEnds(t *testing.T) {
	p := octitest.New(t, octitest.Options{StandardID: stix.ID})
	h := newHouse(t)
	s := h.sink(p, "to-opencti")
	for _, raw := range feed {
		h.recorder("feed")
		if err := h.recorder("feed").Put(t.Context(), bridge.Change{Object: bridgetest.Must(raw)}); err != nil {
			t.Fatal(err)
		}
	}
	stop := h.follow(p, "octi")
	h.deliver(s, "feed", 0)
	h.holds(p, "octi")
	if n := len(p.Imports()); n != 4 {
		t.Fatalf("%d imports", n)
	}
	// The platform's own version, under its own ids, is in the log: others get it, the platform does not.
	if n := h.deliver(s, "octi", 0); n < 4 {
		t.Fatalf("%d events came back", n)
	}
	// Another producer says the same: nothing changes either.
	h.deliver(s, "feed", 0)
	stop()
	// A recovery brings all of it once more, under another name or after a replay.
	h.follow(p, "octi-again")
	h.holds(p, "octi-again")
	h.deliver(s, "octi-again", 0)
	h.deliver(s, "octi", 0)
	for _, i := range p.Imports()[4:] {
		if !strings.HasSuffix(i.ID, "-0000-4000-8000-000000000000") {
			t.Errorf("%s went back to the platform that made it: %+v", i.ID, i)
		}
	}
	h.holds(p, "octi-again")
}

func TestTwoPlatformsThatFeedEachOtherComeToRest(t *testing.T) {
	a, b := octitest.New(t, octitest.Options{StandardID: stix.ID}), octitest.New(t, octitest.Options{StandardID: stix.ID})
	h := newHouse(t)
	h.follow(a, "octi-a")
	h.follow(b, "octi-b")
	toA, toB := h.sink(a, "to-a"), h.sink(b, "to-b")
	for _, raw := range feed {
		var m map[string]any
		_ = json.Unmarshal([]byte(raw), &m)
		if err := a.Upsert(m); err != nil {
			t.Fatal(err)
		}
	}
	// Each sink sees both producers' events, round after round.
	fromA, fromB, rounds := [2]int{}, [2]int{}, 0
	for quiet := 0; quiet < 3; {
		h.holds(a, "octi-a")
		h.holds(b, "octi-b")
		was := [2][2]int{fromA, fromB}
		fromA[1] = h.deliver(toB, "octi-a", fromA[1])
		fromB[1] = h.deliver(toB, "octi-b", fromB[1])
		fromA[0] = h.deliver(toA, "octi-a", fromA[0])
		fromB[0] = h.deliver(toA, "octi-b", fromB[0])
		if was == [2][2]int{fromA, fromB} {
			quiet++
		}
		if rounds++; rounds > 20 {
			t.Fatalf("no rest after %d rounds: %d imports at a, %d at b", rounds, len(a.Imports()), len(b.Imports()))
		}
	}
	if n := len(b.IDs()); n != 4 {
		t.Errorf("b holds %d objects", n)
	}
	if x, y := len(a.Imports()), len(b.Imports()); x > 8 || y > 12 {
		t.Errorf("%d imports at a, %d at b", x, y)
	}
	t.Logf("rest after %d rounds: %d imports at a, %d at b", rounds, len(a.Imports()), len(b.Imports()))
}
