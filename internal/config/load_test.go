package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/where"
	"github.com/stixbridge/stixbridge/stix"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (go test -update writes it anew), -want +got:\n%s", file, diff)
	}
}

var goodEnv = []string{
	"VIEWER=canary", "OPENCTI_URL=https://octi.example", "OPENCTI_TOKEN_FILE=testdata/token", "PAGES=3",
	"STIXBRIDGE_CONSUMERS_TO_OPENCTI_CONCURRENCY=4", "STIXBRIDGE_CONSUMERS_SOC_TYPES=indicator, malware", "STIXBRIDGE_NATS_LISTEN=127.0.0.1:0",
	"STIXBRIDGE_PRODUCERS_ATTACK_TOKEN_FILE=testdata/token", "STIXBRIDGE_PRODUCERS_SECOND_TLS_CA=testdata/token",
}

func loadGood(t *testing.T) *Loaded {
	t.Helper()
	l, err := Load("testdata/good.yaml", goodEnv, plugins())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestACorrectConfigurationLoadsWhole(t *testing.T) {
	l := loadGood(t)
	if len(l.Warnings) > 0 {
		t.Errorf("warnings: %v", l.Warnings)
	}
	wantTop := Defaults()
	wantTop.NATS.Listen, wantTop.NATS.MaxAge, wantTop.NATS.MaxBytes, wantTop.NATS.Replicas = "127.0.0.1:0", bridge.Duration(7*day), 10<<30, 1
	wantTop.HTTP = bridge.HTTPConfig{Listen: "0.0.0.0:8321", Tokens: bridge.HTTPTokens{Viewer: "canary", Operator: "canary"}}
	wantTop.OpenCTI = bridge.OpenCTIConfig{URL: "https://octi.example", Token: "canary"}
	if diff := cmp.Diff(wantTop, l.Config); diff != "" {
		t.Errorf("top level, -want +got:\n%s", diff)
	}
	wantAttack := feedConfig{
		URL: "./ics-attack.json", Format: "auto", Limit: 64 << 20, Weight: 0.5, Pages: 3, Token: "canary",
		Headers: map[string]bridge.Secret{"Authorization": "Bearer canary", "X-Plain": "$x"},
		Columns: []feedColumn{{Name: "one", Type: "text"}, {Name: "two"}},
	}
	attack := l.Producers[0]
	if diff := cmp.Diff(wantAttack, attack.Producer.(feed).feedConfig); diff != "" {
		t.Errorf("attack, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(bridge.ProducerConfig{Kind: "feed", Name: "attack", Every: bridge.Duration(day), TLP: "TLP:WHITE", MaxDelete: "5%"}, attack.ProducerConfig); diff != "" {
		t.Errorf("attack's common keys, -want +got:\n%s", diff)
	}
	if attack.Level != stix.Clear || attack.Share != 0.05 {
		t.Errorf("attack: level %v share %v, want clear 0.05", attack.Level, attack.Share)
	}
	if got := time.Duration(l.Producers[1].Every); got != time.Hour {
		t.Errorf("a key of the section loses against the anchor: every is %v", got)
	}
	if diff := cmp.Diff(liveConfig{URL: "https://octi.example", Token: "canary", Stream: "9f1c", Name: "octi"}, l.Producers[2].Producer.(live).liveConfig); diff != "" {
		t.Errorf("octi, -want +got:\n%s", diff)
	}

	to := l.Consumers[1]
	if !to.StartAt.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) || to.Concurrency != 4 || !to.Traits.State || to.Sink == nil {
		t.Errorf("to-opencti: %+v", to)
	}
	want := bridge.ConsumerConfig{
		Kind: "webhook", Name: "soc", Start: "new", Producers: []string{"*"}, Types: []string{"indicator", "malware"}, Ops: []bridge.Op{"create", "update"},
		Where: `score() >= 70 and "apt" in labels()`, MaxTLP: "amber+strict", UnmarkedAs: "TLP:GREEN", OnDelete: "auto", Concurrency: 1, Batch: 10,
		Timeout: bridge.Duration(time.Minute), ReplayRate: 1000,
	}
	soc := l.Consumers[2]
	if diff := cmp.Diff(want, soc.ConsumerConfig); diff != "" {
		t.Errorf("soc, -want +got:\n%s", diff)
	}
	if soc.Ceiling != stix.AmberStrict || soc.Unmarked != stix.Green {
		t.Errorf("soc: ceiling %v, unmarked %v", soc.Ceiling, soc.Unmarked)
	}
	if diff := cmp.Diff(hookConfig{URL: "https://soc.example/in", Secret: "canary", Batch: 10}, soc.Sink.(hook).hookConfig); diff != "" {
		t.Errorf("soc's own keys, -want +got:\n%s", diff)
	}
	if l.Consumers[3].Enricher == nil || l.Consumers[3].Sink != nil {
		t.Errorf("tags is no enricher: %+v", l.Consumers[3])
	}
	var starts []string
	for _, c := range l.Consumers {
		starts = append(starts, c.Start+" "+c.MaxTLP)
	}
	if diff := cmp.Diff([]string{"all red", "2026-01-02T03:04:05Z red", "new amber+strict", "new red"}, starts); diff != "" {
		t.Errorf("defaults by kind, -want +got:\n%s", diff)
	}
	if got := soc.Place(); got != "testdata/good.yaml:32:5" {
		t.Errorf("place of soc: %s", got)
	}
}

func TestTheEffectiveConfigurationShowsNoSecret(t *testing.T) {
	l := loadGood(t)
	got := Redacted(l)
	if strings.Contains(string(got), "canary") {
		t.Error("a secret is shown")
	}
	golden(t, "effective.yaml", got)

	text, err := json.Marshal(l.Config)
	if err != nil || strings.Contains(string(text), "canary") {
		t.Errorf("JSON of the configuration: %s, %v", text, err)
	}
}

func TestAMissingFileIsOneClearProblem(t *testing.T) {
	_, err := Load("nowhere.yaml", nil, plugins())
	if want := "nowhere.yaml: there is no such file; name another with -c, or create it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNothingConfiguredIsAllDefaults(t *testing.T) {
	l, err := Parse("c.yaml", []byte("nats:\n"), nil, plugins())
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.NATS.Replicas = 1
	if diff := cmp.Diff(want, l.Config, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnExternalServerHasThreeReplicas(t *testing.T) {
	l, err := Parse("c.yaml", []byte("nats: { url: \"nats://a:4222, tls://b\" }\n"), []string{"STIXBRIDGE_NATS_TOKEN=t"}, plugins())
	if err != nil {
		t.Fatal(err)
	}
	if l.Config.NATS.Replicas != 3 || l.Config.NATS.Token.Reveal() != "t" {
		t.Errorf("%+v", l.Config.NATS)
	}
}

func TestAWrongExpressionIsPlacedAtItsCharacter(t *testing.T) {
	p := plugins()
	p.CompileWhere = where.Check
	text := `producers: [ { kind: feed, name: a, url: x } ]
consumers:
  - { kind: file, name: f, path: x, where: "type == 'indicator' and scores() >= 70" }
  - { kind: file, name: g, path: x, where: score() >= 70 and labels() contains "x" }
  - { kind: file, name: h, path: x, where: "${WHERE}" }
  - { kind: file, name: i, path: x, where: "score() >= 70" }
`
	_, err := Parse("c.yaml", []byte(text), []string{"WHERE=nme = 5"}, p)
	want := `c.yaml:3:69: consumers[0].where: at character 25: unknown function scores(); did you mean score()?
c.yaml:4:71: consumers[1].where: at character 28: labels() is a list; write "x" in labels(), or any(labels(), # contains "x")
c.yaml:5:44: consumers[2].where: at character 5: unexpected token Operator("="); write == to compare`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestVariablesExpand(t *testing.T) {
	env := newEnvironment([]string{"A=1", "EMPTY=", "B=x=y"})
	for _, c := range []struct{ in, out, err string }{
		{"plain", "plain", ""},
		{"${A}", "1", ""},
		{"a${A}b${B}c", "a1bx=yc", ""},
		{"${NO:-}", "", ""},
		{"${NO:-d:-e}", "d:-e", ""},
		{"${EMPTY}", "", ""},
		{"${EMPTY:-d}", "d", ""},
		{"$$", "$", ""},
		{"$${A}", "${A}", ""},
		{"$$${A}", "$1", ""},
		{"a$b^$", "a$b^$", ""},
		{"${NO}", "", "the variable NO is not set; set it, or write ${NO:-default}"},
		{"${}", "", "${} names no variable; write ${NAME} or ${NAME:-default}, or $${ for the characters themselves"},
		{"${A", "", "${ without }; close it, or write $${ for the characters themselves"},
	} {
		out, _, err := expand(c.in, env.lookup)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if out != c.out || got != c.err {
			t.Errorf("%q: got %q, %q; want %q, %q", c.in, out, got, c.out, c.err)
		}
	}
}

func TestMistypedWordsFindTheirMeaning(t *testing.T) {
	known := []string{"producers", "consumers", "max_tlp", "on_delete", "every", "url", "name"}
	for word, want := range map[string]string{
		"producer": "producers", "comsumers": "consumers", "maxTLP": "max_tlp", "on-delete": "on_delete", "evrey": "every", "URL": "url", "urll": "url",
		"nmae": "name", "zzz": "", "": "", "x": "", "colour": "",
	} {
		if got := meant(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
