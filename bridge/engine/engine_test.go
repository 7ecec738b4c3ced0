package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stixbridge/stixbridge/bridge/engine"
	"github.com/stixbridge/stixbridge/consumers"
	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/where"
	"github.com/stixbridge/stixbridge/producers"
)

func load(t *testing.T, text string) *config.Loaded {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(text), nil, config.Plugins{
		Producers: producers.All(), Sinks: consumers.Sinks(), Enrichers: consumers.Enrichers(), CompileWhere: where.Check,
	})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// bundle writes a bundle of n tools and returns its path.
func bundle(t *testing.T, dir string, n int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`{"type":"bundle","id":"bundle--00000000-0000-4000-8000-000000000000","objects":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"tool","spec_version":"2.1","id":"tool--00000000-0000-4000-8000-%012d","created":"2024-01-01T00:00:00.000Z","modified":"2024-01-01T00:00:00.000Z","name":"t%d"}`, i, i)
	}
	b.WriteString("]}")
	path := filepath.Join(dir, "bundle.json")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// once runs a configuration to its end.
func once(t *testing.T, cfg *config.Loaded) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), cfg, engine.Options{Version: "test", Once: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestMetricsHaveGoodNamesAndTellWhatHappened(t *testing.T) {
	dir := t.TempDir()
	cfg := load(t, fmt.Sprintf(`
nats: { dir: %[1]s/data, listen: "127.0.0.1:0" }
producers: [{ kind: stix, name: feed, url: %[2]s, tlp: clear }]
consumers:
  - { kind: file, name: all, path: %[1]s/all.jsonl }
  - { kind: file, name: some, path: %[1]s/some.jsonl, where: "name == 't1'" }
`, dir, bundle(t, dir, 10)))
	e := once(t, cfg)
	problems, err := testutil.GatherAndLint(e.Metrics())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "stixbridge_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	want := `
# HELP stixbridge_consumer_delivered_total Events delivered.
# TYPE stixbridge_consumer_delivered_total counter
stixbridge_consumer_delivered_total{consumer="all"} 10
stixbridge_consumer_delivered_total{consumer="some"} 1
# HELP stixbridge_consumer_held_total Events held back, by gate.
# TYPE stixbridge_consumer_held_total counter
stixbridge_consumer_held_total{consumer="some",gate="where"} 9
# HELP stixbridge_log_last_seq Last event of the log.
# TYPE stixbridge_log_last_seq gauge
stixbridge_log_last_seq 10
`
	if err := testutil.GatherAndCompare(e.Metrics(), strings.NewReader(want), "stixbridge_consumer_delivered_total", "stixbridge_consumer_held_total", "stixbridge_log_last_seq"); err != nil {
		t.Error(err)
	}
}

func TestEveryMetricOfTheAlertsExists(t *testing.T) {
	dir := t.TempDir()
	cfg := load(t, fmt.Sprintf(`
nats: { dir: %[1]s/data, listen: "127.0.0.1:0" }
producers: [{ kind: stix, name: feed, url: %[2]s, tlp: clear }]
consumers: [{ kind: file, name: all, path: %[1]s/all.jsonl }]
`, dir, bundle(t, dir, 1)))
	e := once(t, cfg)
	families, err := e.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{"stixbridge_consumer_retries_total": true, "stixbridge_consumer_held_total": true} // only once there is one
	for _, f := range families {
		have[f.GetName()] = true
	}
	rules, err := filepath.Glob("../../deploy/prometheus/*.y*ml")
	if err != nil || len(rules) == 0 {
		t.Fatalf("no rules: %v", err)
	}
	for _, file := range rules {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.FieldsFunc(string(text), func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
			if strings.HasPrefix(word, "stixbridge_") && !have[word] {
				t.Errorf("%s asks for %s, which does not exist", file, word)
			}
		}
	}
}

func TestAnOlderLogIsRefusedEveryTime(t *testing.T) {
	dir := t.TempDir()
	text := fmt.Sprintf(`
nats: { dir: %[1]s/data, listen: "127.0.0.1:0" }
producers: [{ kind: stix, name: feed, url: %[2]s, tlp: clear }]
consumers: [{ kind: file, name: all, path: %[1]s/all.jsonl }]
`, dir, bundle(t, dir, 5))
	e := once(t, load(t, text))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(dir, "data", "high-water.json")
	b, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mark, []byte(strings.Replace(string(b), `"seq":5`, `"seq":50`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the refusal must not lower the mark
		e, err := engine.Open(context.Background(), load(t, text), engine.Options{})
		if err == nil {
			_ = e.Close()
			t.Fatal("a log that ends before what was seen is accepted")
		}
		if !strings.Contains(err.Error(), "the event log ends at 5, but this bridge has seen 50") {
			t.Errorf("error %q does not say what is wrong", err)
		}
	}
}
