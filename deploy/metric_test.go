package deploy_test

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// metrics are the names and labels that alerts and dashboards rely on.
var metrics = map[string][]string{
	"stixbridge_producer_events_total":    {"producer", "op"},
	"stixbridge_producer_unchanged_total": {"producer"},
	"stixbridge_producer_healthy":         {"producer"},
	"stixbridge_consumer_delivered_total": {"consumer"},
	"stixbridge_consumer_held_total":      {"consumer", "gate"},
	"stixbridge_consumer_lag_events":      {"consumer"},
	"stixbridge_consumer_oldest_seconds":  {"consumer"},
	"stixbridge_consumer_healthy":         {"consumer"},
	"stixbridge_consumer_retries_total":   {"consumer", "reason"},
	"stixbridge_dead_letters":             {"name"},
	"stixbridge_log_bytes":                nil,
	"stixbridge_log_last_seq":             nil,
	"stixbridge_log_missing_events":       nil,
}

var (
	metricName = regexp.MustCompile(`stixbridge_[a-z_]+`)
	labelName  = regexp.MustCompile(`{{ *(?:\$labels\.)?([a-z]+) *}}`)
)

// labels checks that a text uses only labels that all metrics of its expression have.
func labels(t *testing.T, where, expr, text string) {
	t.Helper()
	for _, name := range metricName.FindAllString(expr, -1) {
		have, ok := metrics[name]
		if !ok {
			t.Errorf("%s: unknown metric %s", where, name)
		}
		for _, m := range labelName.FindAllStringSubmatch(text, -1) {
			if m[1] != "instance" && !slices.Contains(have, m[1]) {
				t.Errorf("%s: %s has no label %s", where, name, m[1])
			}
		}
	}
}

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

func TestAlertsUseTheProgramsMetricsAndAreTested(t *testing.T) {
	cases := read(t, "deploy/prometheus/rules_test.yaml")
	seen := map[string]bool{}
	for _, g := range documents[ruleFile](t, "deploy/prometheus/rules.yaml")[0].Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Annotations["summary"] == "" || r.Labels["severity"] == "" || seen[r.Alert] {
				t.Errorf("rule %q lacks a name of its own, a summary or a severity", r.Alert)
			}
			seen[r.Alert] = true
			labels(t, r.Alert, r.Expr, r.Annotations["summary"]+r.Annotations["description"])
			if n := len(regexp.MustCompile(`alertname: `+r.Alert+`\b`).FindAllString(cases, -1)); n < 2 {
				t.Errorf("%s needs a test that it fires and one that it does not", r.Alert)
			}
		}
	}
	if len(seen) == 0 {
		t.Error("no alerts")
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		cmd := exec.Command(promtool, "test", "rules", "rules_test.yaml")
		cmd.Dir = filepath.Join(testpeer.Root(t), "deploy/prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
}

func TestDashboardShowsEveryMetric(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/stixbridge.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	shown, ids := map[string]bool{}, map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("%s: panel id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			labels(t, p.Title, target.Expr, target.LegendFormat)
			for _, name := range metricName.FindAllString(target.Expr, -1) {
				shown[name] = true
			}
		}
	}
	want := slices.Sorted(maps.Keys(metrics))
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(shown))); diff != "" {
		t.Errorf("metrics in the dashboard (-want +got):\n%s", diff)
	}
}
