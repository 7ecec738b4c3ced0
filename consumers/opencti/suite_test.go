package opencti_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/consumers/opencti"
	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
)

// target is a platform whose deliveries, and only those, can meet faults.
type target struct {
	p      *octitest.Platform
	faulty *bridgetest.Server
	front  *httptest.Server
	events map[string]bridge.Event // by object id and name
}

func newTarget(t testing.TB, events []bridge.Event) *target {
	g := &target{p: octitest.New(t, octitest.Options{}), events: map[string]bridge.Event{}}
	to, err := url.Parse(g.p.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	g.faulty = bridgetest.Serve(t, proxy)
	g.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte("stixBundlePush")) {
			g.faulty.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(g.End)
	for _, e := range events {
		g.events[e.Object.ID()+e.Object.Text("name")] = e
	}
	return g
}

func (g *target) Section() string {
	return fmt.Sprintf(`{"url":%q,"token":%q,"queue_protocol":"api"}`, g.front.URL, g.p.Token)
}

func (g *target) Fault(f bridgetest.Fault, n int) bool { g.faulty.Fault(f, n); return true }
func (g *target) Refuse(string) bool                   { return false } // the platform says so later, in the work

func (g *target) Received() (got []bridgetest.Receipt) {
	for _, i := range g.p.Imports() {
		name, _ := i.Object["name"].(string)
		e := g.events[i.ID+name]
		got = append(got, bridgetest.Receipt{EventID: e.ID, Object: i.ID, Seq: e.Seq})
	}
	return got
}

// End takes the platform away.
func (g *target) End() {
	g.faulty.End()
	g.front.CloseClientConnections()
	g.front.Close()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// versions are 40 events of ten objects, each version with a name of its own.
func versions() (events []bridge.Event) {
	for seq := range uint64(40) {
		op := bridge.Update
		if seq < 10 {
			op = bridge.Create
		}
		o := bridgetest.Must(fmt.Sprintf(`{"type":"malware","spec_version":"2.1","id":"malware--%08x-0000-4000-8000-000000000000","created":"2026-11-20T10:00:00.000Z","modified":"2026-11-20T10:00:%02d.000Z","name":"v%d","is_family":true}`, seq%10, seq, seq))
		events = append(events, bridgetest.NewEvent(3*seq+1, op, o))
	}
	return events
}

func TestTheSinkPassesTheSuite(t *testing.T) {
	events := versions()
	bridgetest.Sink(t, bridgetest.SinkCase{
		Plugin:  opencti.Plugin,
		Target:  func(t testing.TB) bridgetest.Target { return newTarget(t, events) },
		Events:  events,
		Secrets: []string{"11111111-2222-4333-8444-555555555555"},
	})
}
