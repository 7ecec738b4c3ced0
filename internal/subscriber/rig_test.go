package subscriber

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/testpeer"
	"github.com/stixbridge/stixbridge/stix"
)

// rig is a broker with an event log whose subscribers are served.
type rig struct {
	t     *testing.T
	dir   string
	b     *broker.Broker
	store *eventlog.Store
	stop  func()
	apply func() // brings an external server to the records
	n     int
}

// bothBrokers runs a test with the embedded server and with an external one that has the configuration that we print.
func bothBrokers(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Run("embedded", func(t *testing.T) { test(t, newRig(t)) })
	t.Run("external", func(t *testing.T) { test(t, externalRig(t)) })
}

// externalRig has a server process, set up as the documentation says.
func externalRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	guests, pid := filepath.Join(r.dir, "subscribers.conf"), filepath.Join(r.dir, "pid")
	if err := os.WriteFile(guests, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join("../..", filepath.Base(r.dir), "subscribers.conf") // as seen from the server's own directory
	c := testpeer.Cluster(t, 1, fmt.Sprintf("pid_file: %q\naccounts {\n  HUB {\n    jetstream: enabled\n    users: [ { user: bridge, password: house } ]\n    exports: [\n%s    ]\n  }\n  include %q\n}", pid, HomeExports(), beside))
	b, err := broker.Open(t.Context(), broker.Options{Dir: r.dir, URL: c.URL(), User: "bridge", Password: "house", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	r.use(b)
	t.Cleanup(func() { r.stop() })
	r.apply = func() {
		t.Helper()
		home, err := HomeAccount(t.Context(), b.Conn())
		if err != nil {
			t.Fatal(err)
		}
		all, err := List(t.Context(), r.store.State)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(pid)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		before := loaded(t, c.Monitoring[0])
		if err := errors.Join(os.WriteFile(guests, []byte(ServerConfig(home, all)), 0o600), syscall.Kill(n, syscall.SIGHUP)); err != nil {
			t.Fatal(err)
		}
		await(t, func() error { // meanwhile there is no JetStream
			if loaded(t, c.Monitoring[0]) == before {
				return errors.New("the server does not read its configuration again")
			}
			return nil
		})
	}
	return r
}

// loaded is when a server last read its configuration.
func loaded(t *testing.T, monitoring string) string {
	t.Helper()
	resp, err := http.Get(monitoring + "/varz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var v struct {
		Loaded string `json:"config_load_time"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v.Loaded
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	r.open()
	t.Cleanup(func() { r.stop() })
	return r
}

// open starts the broker, as the bridge does.
func (r *rig) open() {
	r.t.Helper()
	r.openOn("127.0.0.1:0")
}

func (r *rig) openOn(listen string) {
	r.t.Helper()
	b, err := broker.Open(r.t.Context(), broker.Options{Dir: r.dir, Listen: listen, MaxStore: 1 << 40})
	if err != nil {
		r.t.Fatal(err)
	}
	r.use(b)
}

// use serves subscribers on a broker.
func (r *rig) use(b *broker.Broker) {
	r.t.Helper()
	store, err := eventlog.Provision(r.t.Context(), b.Conn(), b.JS(), eventlog.Layout{Replicas: 1, MaxBytes: 1 << 30, MaxAge: time.Hour, MaxObjects: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, b, store, slog.New(slog.DiscardHandler)) }()
	r.b, r.store = b, store
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-done, b.Close()); err != nil {
			r.t.Error(err)
		}
	}
}

// event stores an event whose body and headers hold a text.
func (r *rig) event(producer string, level stix.TLP, op bridge.Op, typ, text string, more ...string) uint64 {
	r.t.Helper()
	r.n++
	id := fmt.Sprintf("%s--00000000-0000-4000-8000-%012d", typ, r.n)
	h := nats.Header{
		eventlog.HeaderMsgID: {fmt.Sprint(r.n, text)}, eventlog.HeaderID: {id}, eventlog.HeaderContentType: {eventlog.ContentType},
		eventlog.HeaderContext: {`{"bundle":"` + text + `"}`},
	}
	for i := 0; i+1 < len(more); i += 2 {
		h[more[i]] = []string{more[i+1]}
	}
	s := eventlog.Subject{Producer: producer, TLP: level, Op: op, Type: typ, Partition: eventlog.Partition(id, r.store.Log.Partitions())}
	seq, err := eventlog.Commit(r.t.Context(), r.store.NC, []*nats.Msg{{Subject: s.String(), Header: h, Data: fmt.Appendf(nil, `{"type":%q,"id":%q,"name":%q}`, typ, id, text)}})
	if err != nil {
		r.t.Fatal(err)
	}
	return seq
}

// add makes a subscriber and waits until it can log in.
func (r *rig) add(s Subscriber) (password string) {
	r.t.Helper()
	if s.Limits == (Limits{}) {
		s.Limits = DefaultLimits
	}
	password, err := Add(r.t.Context(), r.store, s, Start{All: true})
	if err != nil {
		r.t.Fatal(err)
	}
	if r.apply != nil { // twice: the services of a new account are there after the reload that follows the one that made it
		r.apply()
		r.apply()
	}
	await(r.t, func() error {
		nc, err := nats.Connect(r.b.URL(), nats.UserInfo(s.User(), password))
		if err != nil {
			return err
		}
		defer nc.Close()
		_, err = nc.Request(APIPrefix+".CONSUMER.INFO.STIX."+s.Name, nil, time.Second)
		return err
	})
	return password
}

// login connects as a subscriber.
func (r *rig) login(name, password string, opts ...nats.Option) *nats.Conn {
	r.t.Helper()
	nc, err := nats.Connect(r.b.URL(), append([]nats.Option{nats.UserInfo("subscriber."+name, password), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}, opts...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	return nc
}

// durable is the subscriber's own consumer, as stock clients see it.
func (r *rig) durable(nc *nats.Conn, name string) jetstream.Consumer {
	r.t.Helper()
	js, err := jetstream.NewWithAPIPrefix(nc, APIPrefix)
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := js.Consumer(r.t.Context(), eventlog.StreamEvents, name)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// got is an event as a subscriber receives it.
type got struct {
	Subject string
	Seq     uint64
	Text    string
}

// drain fetches and acknowledges until nothing is left.
func (r *rig) drain(c jetstream.Consumer) (all []got) {
	r.t.Helper()
	for {
		n := 0
		batch, err := c.FetchNoWait(100)
		if err != nil {
			r.t.Fatal(err)
		}
		for m := range batch.Messages() {
			n++
			meta, err := m.Metadata()
			if err != nil {
				r.t.Fatal(err)
			}
			var o struct{ Name string }
			if err := json.Unmarshal(m.Data(), &o); err != nil {
				r.t.Fatal(err)
			}
			all = append(all, got{m.Subject(), meta.Sequence.Stream, o.Name})
			if err := m.DoubleAck(r.t.Context()); err != nil {
				r.t.Fatal(err)
			}
		}
		if err := batch.Error(); err != nil {
			r.t.Fatal(err)
		}
		if n == 0 {
			return all
		}
	}
}

func await(t *testing.T, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func texts(all []got) string {
	var s []string
	for _, g := range all {
		s = append(s, g.Text)
	}
	return strings.Join(s, " ")
}
