package intake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/intake"
	"github.com/stixbridge/stixbridge/stix"
)

// world is a server, embedded or external (see cluster_test.go), with a provisioned store.
type world struct {
	*eventlog.Store
	t   testing.TB
	b   *broker.Broker
	dir string
}

// open opens the store of a directory. On an external server, another directory than before means a new store.
func open(t testing.TB, dir string, producers ...string) *world {
	t.Helper()
	opt := broker.Options{Dir: dir, Listen: "127.0.0.1:0", MaxStore: 1 << 30, Producers: producers}
	if url := external(); url != "" {
		opt = broker.Options{Dir: dir, URL: url}
	}
	b, err := broker.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if !b.Embedded() {
		empty(t, b.JS(), dir)
	}
	s, err := eventlog.Provision(t.Context(), b.Conn(), b.JS(), eventlog.Layout{Replicas: b.Replicas(), MaxBytes: 256 << 20, MaxAge: 24 * time.Hour, MaxObjects: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{s, t, b, dir}
	t.Cleanup(func() { _ = b.Close() })
	return w
}

func (w *world) intake(name string, opt intake.Options) *intake.Intake {
	w.t.Helper()
	pub, err := w.b.Connect("producer-"+name, name)
	if err != nil {
		w.t.Fatal(err)
	}
	opt.Producer = name
	in, err := intake.Open(w.t.Context(), w.Store, pub, nil, opt)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = in.Close(ctx)
	})
	return in
}

// events lists the log as "op tlp id name [reason]".
func (w *world) events() []string {
	w.t.Helper()
	var got []string
	err := w.Log.Read(w.t.Context(), "test", 1, eventlog.ReadOptions{}, func(r eventlog.Record) error {
		e, err := r.Event()
		if err != nil {
			return err
		}
		var name string
		if raw, ok := e.Object.Get("name"); ok {
			_ = json.Unmarshal(raw, &name)
		}
		s := fmt.Sprintf("%s %s %s %s", e.Op, e.TLP, e.Object.ID()[:4], name)
		if e.Context.Reason != "" {
			s += " " + e.Context.Reason
		}
		got = append(got, s)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func obj(t *testing.T, text string) stix.Object {
	t.Helper()
	o, err := stix.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

const id1 = "tool--11111111-1111-4111-8111-111111111111"

func tool(t *testing.T, name string, marking ...string) stix.Object {
	m := ""
	if len(marking) > 0 {
		m = `,"object_marking_refs":["` + strings.Join(marking, `","`) + `"]`
	}
	return obj(t, `{"type":"tool","spec_version":"2.1","id":"`+id1+`","created":"2024-01-01T00:00:00.000Z","modified":"2024-01-01T00:00:00.000Z","name":"`+name+`"`+m+`}`)
}

func put(t *testing.T, in *intake.Intake, c ...bridge.Change) {
	t.Helper()
	if err := in.Put(t.Context(), c...); err != nil {
		t.Fatal(err)
	}
}

func flush(t *testing.T, in *intake.Intake) {
	t.Helper()
	if err := in.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

func TestThereAndBackWithinASecondIsThreeEvents(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	in := w.intake("a", intake.Options{})
	for _, n := range []string{"A", "B", "A", "A"} {
		put(t, in, bridge.Change{Object: tool(t, n)})
	}
	flush(t, in)
	want(t, w.events(), "create unmarked tool A", "update unmarked tool B", "update unmarked tool A")
}

func TestTheSameObjectAgainIsSilentAlsoAfterARestart(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, "a")
	in := w.intake("a", intake.Options{})
	put(t, in, bridge.Change{Object: tool(t, "A")})
	if err := in.Commit(t.Context(), json.RawMessage(`{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = w.b.Close()
	w = open(t, dir, "a")
	in = w.intake("a", intake.Options{})
	if c, _ := in.Cursor(t.Context()); string(c) != `{"n":1}` {
		t.Errorf("cursor after the restart is %s", c)
	}
	put(t, in, bridge.Change{Object: tool(t, "A")})
	flush(t, in)
	want(t, w.events(), "create unmarked tool A")
	if n := in.Counts.ByOutcome()["unchanged"]; n != 1 {
		t.Errorf("unchanged is %d, want 1", n)
	}
}

func TestTwoProducersWithOneIDDoNotFlipFlop(t *testing.T) {
	w := open(t, t.TempDir(), "a", "b")
	a, b := w.intake("a", intake.Options{}), w.intake("b", intake.Options{})
	for range 2 {
		put(t, a, bridge.Change{Object: tool(t, "A")})
		flush(t, a)
		put(t, b, bridge.Change{Object: tool(t, "B")})
		flush(t, b)
	}
	want(t, w.events(), "create unmarked tool A", "create unmarked tool B")
}

func TestARiseOfTLPRetractsOnTheOldSubjectFirstAndLeaksNothing(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	in := w.intake("a", intake.Options{Diff: func(a, b stix.Object) (json.RawMessage, error) {
		return json.RawMessage(`[{"op":"replace","path":"/name","value":` + string(b.Raw()) + `}]`), nil
	}})
	green, red := stix.Green.MarkingID(), stix.Red.MarkingID()
	put(t, in, bridge.Change{Object: tool(t, "open", green)}, bridge.Change{Object: tool(t, "secret", red)}, bridge.Change{Object: tool(t, "open again", green)})
	flush(t, in)
	want(t, w.events(), "create green tool open", "retract green tool open reclassified", "update red tool secret", "update green tool open again")
	err := w.Log.Read(t.Context(), "test", 1, eventlog.ReadOptions{}, func(r eventlog.Record) error {
		if r.TLP == stix.Green && strings.Contains(r.Context+string(r.Data), "secret") {
			t.Errorf("event %d on a green subject tells red text: %s %s", r.Seq, r.Context, r.Data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestADeleteCarriesTheLastVersionAndACreateMayFollow(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	in := w.intake("a", intake.Options{MaxAge: time.Hour})
	stub := stix.Stub("tool", id1)
	put(t, in, bridge.Change{Object: tool(t, "A")}, bridge.Change{Op: bridge.Delete, Object: stub}, bridge.Change{Op: bridge.Delete, Object: stub}, bridge.Change{Object: tool(t, "A")})
	flush(t, in)
	want(t, w.events(), "create unmarked tool A", "delete unmarked tool A", "create unmarked tool A")
}

func TestASecondWriterIsStoppedByTheLog(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	first, second := w.intake("a", intake.Options{}), w.intake("a", intake.Options{})
	put(t, first, bridge.Change{Object: tool(t, "A")})
	flush(t, first)
	put(t, second, bridge.Change{Object: tool(t, "B")})
	if err := second.Flush(t.Context()); !errors.Is(err, eventlog.ErrFenced) {
		t.Errorf("the second writer got %v, want ErrFenced", err)
	}
	want(t, w.events(), "create unmarked tool A")
}

func TestPruneDeletesOneOfThreeButNotHalf(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	in := w.intake("a", intake.Options{})
	ids := []string{}
	for i := range 3 {
		id := fmt.Sprintf("tool--00000000-0000-4000-8000-00000000000%d", i)
		ids = append(ids, id)
		put(t, in, bridge.Change{Object: obj(t, `{"type":"tool","id":"`+id+`","name":"x"}`)})
	}
	n, err := in.Prune(t.Context(), func(id string) bool { return id != ids[1] })
	if n != 1 || err != nil {
		t.Errorf("one of three: deleted %d, %v", n, err)
	}
	if n, err := in.Prune(t.Context(), func(id string) bool { return false }); n != 0 || !errors.Is(err, intake.ErrTooMany) {
		t.Errorf("all that is left: deleted %d, %v", n, err)
	}
}

func TestALargeObjectLivesInTheObjectStore(t *testing.T) {
	w := open(t, t.TempDir(), "a")
	in := w.intake("a", intake.Options{})
	o := tool(t, strings.Repeat("long ", 1<<20))
	put(t, in, bridge.Change{Object: o})
	flush(t, in)
	r, ok, err := w.Log.Get(t.Context(), 1)
	if err != nil || !ok || len(r.Data) != len(o.Raw()) {
		t.Fatalf("event: found %v, %d bytes, %v; want %d bytes", ok, len(r.Data), err, len(o.Raw()))
	}
	put(t, in, bridge.Change{Object: o})
	flush(t, in)
	if n := in.Counts.ByOutcome()["unchanged"]; n != 1 {
		t.Errorf("unchanged is %d, want 1", n)
	}
}

func TestAProducersConnectionCannotForgeAnother(t *testing.T) {
	if external() != "" {
		t.Skip("the logins of an external server are its operator's business")
	}
	w := open(t, t.TempDir(), "a", "b")
	nc, err := w.b.Connect("producer-a", "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := nc.RequestWithContext(ctx, "stix.v1.b.clear.create.tool.1", []byte(`{}`)); err == nil {
		t.Error("a published as b")
	}
	want(t, w.events())
}
