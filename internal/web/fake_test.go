package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stixbridge/stixbridge/bridge"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// fake is a bridge that says what the test wants.
type fake struct {
	mu       sync.Mutex
	status   bridge.Status
	err      error
	ready    error
	degraded []string
	orders   []Order
	looks    int
}

func (f *fake) Status(context.Context) (bridge.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	s := f.status // what was given out does not change later
	s.Producers, s.Consumers = slices.Clone(s.Producers), slices.Clone(s.Consumers)
	return s, f.err
}

func (f *fake) Ready(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ready
}

func (f *fake) Healthy(context.Context) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.degraded
}

func (f *fake) Do(_ context.Context, o Order) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.status.Consumers {
		if c := &f.status.Consumers[i]; c.Name == o.Name {
			if c.Kind == "stubborn" {
				return errors.New("the event log does not answer")
			}
			f.orders = append(f.orders, o)
			c.Health = map[Action]string{Pause: bridge.Stopped, Resume: bridge.Healthy}[o.Action]
			return nil
		}
	}
	return fmt.Errorf("%s: %w", o.Name, ErrUnknown)
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// newTest returns a handler over a fake whose clock stands at noon.
func newTest(t *testing.T, f *fake, tokens bridge.HTTPTokens) *Handler {
	t.Helper()
	h := New(Options{Source: f, Tokens: tokens, Listen: "127.0.0.1:8321", Version: "v0.1.0", Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	h.now = func() time.Time { return noon }
	return h
}

// calm is a bridge where nothing is wrong.
func calm(now time.Time) bridge.Status {
	return bridge.Status{
		Version: "v0.1.0", Instance: "cti-1", Started: now.Add(-50 * time.Hour), Running: true,
		Log: bridge.LogStatus{Mode: "embedded", Server: "nats://127.0.0.1:4222", FirstSeq: 1, LastSeq: 1_204_881, Events: 1_204_880, Bytes: 3 << 30, MaxBytes: 40 << 30,
			Oldest: now.Add(-21 * 24 * time.Hour), Newest: now.Add(-2 * time.Second), Erased: 1},
		Latest: bridge.LatestStatus{Objects: 412_903, Max: 5_000_000, Bytes: 900 << 20},
		Producers: []bridge.ProducerStatus{
			{Name: "attack", Kind: "stix", Health: bridge.Idle, LastRun: now.Add(-3 * time.Hour), NextRun: now.Add(21 * time.Hour), LastEvent: now.Add(-27 * time.Hour),
				Cursor: json.RawMessage(`{"etag":"\"5f1c-62\"","digest":"9b1f"}`),
				Counts: map[string]uint64{"create": 1682, "update": 31, "unchanged": 48_722}, Types: map[string]uint64{"attack-pattern": 83, "relationship": 1329, "malware": 22}},
			{Name: "octi", Kind: "opencti-live", Health: bridge.Healthy, LastEvent: now.Add(-2 * time.Second), Rate: 14.2, Cursor: json.RawMessage(`"1795521598123-0"`),
				Counts: map[string]uint64{"create": 998_120, "update": 204_551, "delete": 1204, "merge": 88, "retract": 311, "duplicate": 12_044},
				Types:  map[string]uint64{"indicator": 611_204, "relationship": 388_102, "ipv4-addr": 98_001, "domain-name": 61_022, "report": 4021},
				Extra:  map[string]any{"stream": "9f1c2a77-cti", "connections": 3, "platform": "OpenCTI 6.8.14"}},
		},
		Consumers: []bridge.ConsumerStatus{
			{Name: "archive", Kind: "file", Role: "sink", Health: bridge.Healthy, Since: now.Add(-50 * time.Hour), Position: 1_204_881, Rate: 14.2, Delivered: 1_204_880, MaxTLP: "red", Deliveries: 80_120},
			{Name: "soc", Kind: "webhook", Role: "sink", Health: bridge.Healthy, Since: now.Add(-4 * time.Hour), Position: 1_204_870, Lag: 11, OldestAge: 1.4, Rate: 3.1, Delivered: 88_204, Retracted: 1204,
				Held: map[string]uint64{"types": 593_676, "where": 420_120, "max_tlp": 101_680}, MaxTLP: "green", Retries: 14, Deliveries: 88_218, InFlight: 3},
			{Name: "warninglist", Kind: "warninglist", Role: "enricher", Health: bridge.Healthy, Since: now.Add(-50 * time.Hour), Position: 1_204_881, Rate: 0.4, Delivered: 20_114, MaxTLP: "red",
				Held: map[string]uint64{"types": 1_184_766}},
		},
	}
}

// troubled is a bad night: one target refuses, one is too slow, one is paused, a source is down and has a hole.
func troubled(now time.Time) bridge.Status {
	s := calm(now)
	s.Producers[1].Health, s.Producers[1].Error, s.Producers[1].Rate = bridge.Retrying, "GET https://octi.example.org/stream/9f1c2a77: 503 Service Unavailable: <html><title>upstream</title>", 0
	s.Producers[1].Gaps = []bridge.GapStatus{{Time: now.Add(-40 * time.Minute), Gap: bridge.Gap{From: "1795518001123-0", To: "1795519200001-0", Detail: "the platform trimmed its history: its first event is newer than our position"}}}
	s.Producers[0].Dead = 2
	s.Producers[0].Progress = &bridge.ProgressStatus{Done: 1200, Total: 1682, Unit: "objects"}
	soc := &s.Consumers[1]
	soc.Health, soc.Error, soc.Since, soc.Lag, soc.OldestAge, soc.Rate, soc.Dead = bridge.Refused, "POST https://soc.example.org/hooks/cti: 401 Unauthorized: token expired at 2026-11-24T11:43:00Z", now.Add(-17*time.Minute), 14_220, 1020, 0, 12
	soc.NextTry = now.Add(12 * time.Second)
	s.Consumers = append(s.Consumers,
		bridge.ConsumerStatus{Name: "siem-long-name-for-the-phone", Kind: "opensearch", Role: "sink", Health: bridge.Healthy, Since: now.Add(-9 * time.Hour), Position: 700_000, Lag: 504_881, OldestAge: 8 * 86400, Rate: 212,
			Delivered: 699_120, MaxTLP: "amber_strict", Overtaken: 3 * 3600, Phase: "live", Replay: &bridge.ProgressStatus{Done: 31_000, Total: 120_000, Unit: "objects"}},
		bridge.ConsumerStatus{Name: "tickets", Kind: "webhook", Role: "sink", Health: bridge.Stopped, Since: now.Add(-26 * time.Hour), Position: 1_200_000, Lag: 4881, OldestAge: 26 * 3600, Delivered: 310, MaxTLP: "green", Held: map[string]uint64{"backfill": 1682, "where": 1_199_000}},
	)
	s.Problems = []string{"soc: paused by the target for 17 min", "clock is 4 s ahead of the event log's server"}
	s.Orphans = []string{"old-siem"}
	return s
}

// page is another site's page.
func page(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html>" + body))
	})
}
