package web

import (
	"flag"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
)

var update = flag.Bool("update", false, "write the golden files")

func TestPagesLookAsRecorded(t *testing.T) {
	tests := []struct {
		name, path string
		status     bridge.Status
		tokens     bridge.HTTPTokens
	}{
		{"overview-calm", "/", calm(noon), bridge.HTTPTokens{}},
		{"overview-troubled", "/", troubled(noon), bridge.HTTPTokens{}},
		{"overview-viewer", "/", calm(noon), bridge.HTTPTokens{Viewer: "look", Operator: "act"}},
		{"overview-empty", "/", bridge.Status{Running: true, Log: bridge.LogStatus{Mode: "embedded"}}, bridge.HTTPTokens{}},
		{"consumer", "/consumers/soc", troubled(noon), bridge.HTTPTokens{}},
		{"consumer-paused", "/consumers/tickets", troubled(noon), bridge.HTTPTokens{}},
		{"producer", "/producers/octi", troubled(noon), bridge.HTTPTokens{}},
		{"missing", "/consumers/nobody", calm(noon), bridge.HTTPTokens{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newTest(t, &fake{status: tt.status}, tt.tokens)
			fill(h.history, tt.status, noon)
			r := httptest.NewRequest("GET", "http://127.0.0.1:8321"+tt.path, nil)
			if tt.tokens.Viewer != "" {
				r.Header.Set("Authorization", "Bearer look")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			golden(t, tt.name+".html", w.Body.Bytes())
		})
	}
}

func TestLoginPageLooksAsRecorded(t *testing.T) {
	h := newTest(t, &fake{status: calm(noon)}, bridge.HTTPTokens{Viewer: "look"})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "http://cti.example.org/consumers/soc", nil))
	if w.Code != 401 {
		t.Errorf("status %d, want 401", w.Code)
	}
	golden(t, "login.html", w.Body.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	// the build of the assets changes with every touch of the style
	got = []byte(strings.ReplaceAll(string(got), assetBuild, "BUILD"))
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; go test ./internal/web -run AsRecorded -update, and look at it (-want +got):\n%s", path, diff)
	}
}

// fill plays the last hour into a history: a wave, and a lag that grew in the last quarter.
func fill(h *history, s bridge.Status, now time.Time) {
	for back := 59 * time.Minute; back > 0; back -= historyStep {
		old := s
		old.Producers = append([]bridge.ProducerStatus(nil), s.Producers...)
		old.Consumers = append([]bridge.ConsumerStatus(nil), s.Consumers...)
		x := 59 - back.Minutes()
		for i := range old.Producers {
			p := &old.Producers[i]
			p.Rate = max(0, 12+6*math.Sin(x/5+float64(i))) * float64(min(p.Counts["create"], 10_000)) / 10_000
			if p.Health == bridge.Retrying && x > 52 {
				p.Rate = 0
			}
		}
		for i := range old.Consumers {
			c := &old.Consumers[i]
			late := 0.0
			if x > 42 {
				late = (x - 42) / 17
			}
			c.Lag = uint64(late*float64(c.Lag)) + uint64(3+2*math.Sin(x))
			c.Rate = max(0, 9+4*math.Sin(x/4+float64(i)))
			if c.Health != bridge.Healthy && x > 42 {
				c.Rate = 0
			}
		}
		h.add(snapshot{Status: old, At: now.Add(-back)})
	}
}
