package opencti

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/internal/opencti"
	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
	"github.com/stixbridge/stixbridge/internal/testpeer"
	"github.com/stixbridge/stixbridge/stix"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait"), goleak.IgnoreAnyFunction("os.(*Process).Wait"))
}

// rig is a platform with a sink that writes to it, and what the runtime lends.
type rig struct {
	t      *testing.T
	p      *octitest.Platform
	rabbit testpeer.Rabbit
	s      *sink

	mu      sync.Mutex
	known   map[string]bridge.Event // producer + " " + id → what it said last
	letters []string
	vault   bridgetest.Vault
	seq     uint64

	asserted uint64
}

// amqpRig writes through a real RabbitMQ, apiRig by HTTP alone.
func amqpRig(t *testing.T, change ...func(*Config)) *rig {
	r := testpeer.RabbitMQ(t)
	g := &rig{t: t, rabbit: r, known: map[string]bridge.Event{}}
	g.p = octitest.New(t, octitest.Options{Broker: octitest.Broker{Host: r.Host, Port: r.Port, VHost: r.VHost, User: r.User, Password: r.Password}})
	g.sink(change...)
	return g
}

func apiRig(t *testing.T, change ...func(*Config)) *rig {
	g := &rig{t: t, known: map[string]bridge.Event{}, p: octitest.New(t, octitest.Options{})}
	g.sink(append([]func(*Config){func(c *Config) { c.QueueProtocol = "api" }}, change...)...)
	return g
}

// sink makes and starts a sink, as a (re)start of the process does.
func (g *rig) sink(change ...func(*Config)) {
	g.t.Helper()
	c := Config{URL: g.p.URL, Token: bridge.Secret(g.p.Token), QueueProtocol: "amqp", QueueThreshold: 500e6}
	for _, f := range change {
		f(&c)
	}
	made, err := newSink(c)
	if err != nil {
		g.t.Fatal(err)
	}
	g.s = made.(*sink)
	g.s.ping, g.s.poll, g.s.pace.queue, g.s.patience, g.s.pace.work = 50*time.Millisecond, 50*time.Millisecond, 20*time.Millisecond, 500*time.Millisecond, 300*time.Millisecond
	g.t.Cleanup(func() { _ = made.(*sink).Close() })
	if err := g.s.Start(g.t.Context(), g.env()); err != nil {
		g.t.Fatal(err)
	}
}

func (g *rig) env() bridge.Env {
	e := g.vault.Env("to-opencti", g.t.TempDir(), nil)
	e.Log = slog.New(slog.DiscardHandler)
	e.Lookup = func(_ context.Context, id, producer string) (stix.Object, bool, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if producer == "" {
			producer = "feed"
		}
		e, ok := g.known[producer+" "+id]
		return e.Object, ok && !e.Retracts(), nil
	}
	e.Current = func(_ context.Context, id, producer string) (bridge.Event, bool, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		e, ok := g.known[producer+" "+id]
		if !ok {
			e, ok = g.known["feed "+id]
		}
		return e, ok, nil
	}
	e.DeadLetter = func(_ context.Context, e bridge.Event, reason string) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.letters = append(g.letters, e.Object.ID()+" "+e.Producer+" "+reason)
		return nil
	}
	return e
}

func (g *rig) dead() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.letters...)
}

// asserts makes objects known as a producer's.
func (g *rig) asserts(producer string, objs ...stix.Object) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, o := range objs {
		g.asserted++
		g.known[producer+" "+o.ID()] = bridge.Event{Seq: g.asserted, Producer: producer, Op: bridge.Update, Object: o}
	}
}

// event makes the next event of producer feed.
func (g *rig) event(op bridge.Op, o stix.Object) bridge.Event {
	g.seq++
	return bridgetest.NewEvent(g.seq, op, o)
}

func (g *rig) creates(objs ...stix.Object) (events []bridge.Event) {
	for _, o := range objs {
		events = append(events, g.event(bridge.Create, o))
	}
	return events
}

// deliver fails the test on an error.
func (g *rig) deliver(events ...bridge.Event) {
	g.t.Helper()
	if err := g.s.Deliver(g.t.Context(), events); err != nil {
		g.t.Fatal(err)
	}
}

// work starts the platform's worker.
func (g *rig) work() { g.p.Worker(g.id()) }

func (g *rig) id() string { return opencti.ConnectorID(g.p.URL, "to-opencti") }

// queued takes all messages off the push queue.
func (g *rig) queued() (out []amqp091.Delivery) {
	g.t.Helper()
	conn, err := amqp091.Dial(g.rabbit.URL)
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		g.t.Fatal(err)
	}
	for {
		d, ok, err := ch.Get("push_"+g.id(), true)
		if err != nil {
			g.t.Fatal(err)
		}
		if !ok {
			return out
		}
		out = append(out, d)
	}
}

func obj(t *testing.T, format string, args ...any) stix.Object {
	t.Helper()
	o, err := stix.Parse(fmt.Appendf(nil, format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func nid(typ string, n int) string {
	return fmt.Sprintf("%s--%08x-0000-4000-8000-000000000000", typ, n)
}

func indicator(t *testing.T, n int, more string) stix.Object {
	return obj(t, `{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:00.000Z","name":"i%d","pattern":"[url:value='x%d']","pattern_type":"stix","valid_from":"2026-11-20T10:00:00.000Z"%s}`, nid("indicator", n), n, n, more)
}

func identity(t *testing.T, n int) stix.Object {
	return obj(t, `{"type":"identity","spec_version":"2.1","id":%q,"created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:00.000Z","name":"who%d","identity_class":"organization"}`, nid("identity", n), n)
}

func malware(t *testing.T, n int) stix.Object {
	return obj(t, `{"type":"malware","spec_version":"2.1","id":%q,"created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:00.000Z","name":"m%d","is_family":true}`, nid("malware", n), n)
}

func relationship(t *testing.T, n int, from, to stix.Object, more string) stix.Object {
	return obj(t, `{"type":"relationship","spec_version":"2.1","id":%q,"created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:00.000Z","relationship_type":"indicates","source_ref":%q,"target_ref":%q%s}`, nid("relationship", n), from.ID(), to.ID(), more)
}

// imported lists what the worker did: operation, object, error.
func imported(p *octitest.Platform) (out []string) {
	for _, i := range p.Imports() {
		s := i.Operation + " " + i.ID
		if i.Error != "" {
			s += ": " + i.Error
		}
		out = append(out, s)
	}
	return out
}

// kind of error as the runtime sees it.
func kind(err error) string {
	var b *bridge.BatchError
	if errors.As(err, &b) {
		seen := map[string]bool{}
		for _, e := range b.Failed {
			seen[kind(e)] = true
		}
		var s []string
		for k := range seen {
			s = append(s, k)
		}
		return "batch: " + strings.Join(s, ",")
	}
	wait, asked := bridge.Wait(err)
	switch {
	case err == nil:
		return "none"
	case bridge.IsPaused(err):
		return "paused"
	case bridge.IsPermanent(err):
		return "permanent"
	case asked && wait > 0:
		return "retry after"
	}
	return "plain"
}

func asMap(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
