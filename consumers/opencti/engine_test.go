package opencti_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/consumers/opencti"
	"github.com/stixbridge/stixbridge/internal/config"
	ids "github.com/stixbridge/stixbridge/internal/opencti"
	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
	"github.com/stixbridge/stixbridge/internal/testpeer"
	live "github.com/stixbridge/stixbridge/producers/opencti"
	file "github.com/stixbridge/stixbridge/producers/stix"
	"github.com/stixbridge/stixbridge/stix"
)

// The whole bridge with a feed, a platform's live stream and a sink for that platform, through a real RabbitMQ: each object goes into the platform
// once, comes back once, and that is the end of it, also after a restart and a recovery.
func TestTheWholeBridgeComesToRest(t *testing.T) {
	r := testpeer.RabbitMQ(t)
	p := octitest.New(t, octitest.Options{StandardID: stix.ID, Broker: octitest.Broker{Host: r.Host, Port: r.Port, VHost: r.VHost, User: r.User, Password: r.Password}})
	dir := t.TempDir()
	bundle := filepath.Join(dir, "bundle.json")
	text := `{"type":"bundle","id":"bundle--00000001-0000-4000-8000-000000000000","objects":[` + strings.Join(feed, ",") + `]}`
	if err := os.WriteFile(bundle, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	section := fmt.Sprintf(`
nats: { dir: %q, listen: "127.0.0.1:0" }
http: { listen: "off" }
opencti: { url: %q, token: %q }
producers:
  - { kind: stix, name: feed, path: %q }
  - { kind: opencti-live, name: octi, stream: %q, token: %q }
consumers:
  - { kind: opencti, name: to-opencti, producers: ["*"] }
`, filepath.Join(dir, "data"), p.URL, p.Token, bundle, p.Stream, p.Reader)
	cfg, err := config.Parse("test.yaml", []byte(section), nil, config.Plugins{
		Producers: []bridge.Plugin[bridge.Producer]{file.Plugin, live.Plugin}, Sinks: []bridge.Plugin[bridge.Sink]{opencti.Plugin},
	})
	if err != nil {
		t.Fatal(err)
	}
	worker := false
	run := func(rest func(engineStatus) bool) {
		t.Helper()
		e, err := engine.Open(t.Context(), cfg, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		if !worker {
			id := ids.ConnectorID(p.URL, "to-opencti")
			p.Await("the connector is registered", func() bool { return p.Connector(id) != nil })
			p.Worker(id)
			worker = true
		}
		p.Await("the bridge is at rest", func() bool {
			s, err := e.Status(t.Context())
			return err == nil && rest(engineStatus{s})
		})
		s, _ := e.Status(t.Context())
		t.Logf("%s", engineStatus{s})
		for _, q := range s.Producers {
			if len(q.Gaps) > 0 {
				t.Errorf("gaps of %s: %+v", q.Name, q.Gaps)
			}
		}
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	n := len(feed)
	run(func(s engineStatus) bool {
		return len(p.Imports()) >= n && s.count("octi", "create") >= uint64(n) && s.lag() == 0
	})
	time.Sleep(200 * time.Millisecond) // nothing may follow
	if got := len(p.Imports()); got != n {
		t.Errorf("%d imports, want %d: %+v", got, n, p.Imports())
	}
	// A restart: nothing new anywhere.
	run(func(s engineStatus) bool { return s.lag() == 0 && s.extra("octi", "heartbeat") != nil })
	if got := len(p.Imports()); got != n {
		t.Errorf("%d imports after a restart, want %d", got, n)
	}
}

// engineStatus reads what the test needs.
type engineStatus struct{ bridge.Status }

func (s engineStatus) count(producer, what string) uint64 {
	for _, p := range s.Producers {
		if p.Name == producer {
			return p.Counts[what]
		}
	}
	return 0
}

func (s engineStatus) extra(producer, what string) any {
	for _, p := range s.Producers {
		if p.Name == producer {
			return p.Extra[what]
		}
	}
	return nil
}

func (s engineStatus) lag() (n uint64) {
	for _, c := range s.Consumers {
		n += c.Lag
	}
	return n
}

func (s engineStatus) String() string {
	var b strings.Builder
	for _, p := range s.Producers {
		fmt.Fprintf(&b, "%s %s %v %s %v; ", p.Name, p.Health, p.Counts, p.Error, p.Extra)
		if len(p.Gaps) > 0 {
			fmt.Fprintf(&b, "gaps %+v; ", p.Gaps)
		}
	}
	for _, c := range s.Consumers {
		fmt.Fprintf(&b, "%s %s lag %d delivered %d held %v %s %v; ", c.Name, c.Health, c.Lag, c.Delivered, c.Held, c.Error, c.Extra)
	}
	return b.String()
}
