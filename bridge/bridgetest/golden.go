package bridgetest

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
)

// golden compares what a read made with the case's file. The address of the source, which differs from run to run, is written as "source".
func (c ProducerCase) golden(t *testing.T, r *Recorder, url string) {
	t.Helper()
	var got bytes.Buffer
	lines := json.NewEncoder(&got)
	lines.SetEscapeHTML(false)
	for _, e := range r.Events() {
		_ = lines.Encode(struct {
			Op     bridge.Op       `json:"op"`
			Object json.RawMessage `json:"object"`
		}{e.Op, e.Change.Object.Raw()})
	}
	for _, x := range r.Rejected() {
		_ = lines.Encode(struct {
			Rejected string `json:"rejected"`
			Reason   string `json:"reason"`
		}{x.Position, x.Reason})
	}
	text := strings.ReplaceAll(got.String(), url, "source")
	if os.Getenv("BRIDGETEST_UPDATE") == "1" {
		if err := os.WriteFile(c.Golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(c.Golden)
	if err != nil {
		t.Fatalf("%v: BRIDGETEST_UPDATE=1 writes it", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(text, "\n")); diff != "" {
		t.Errorf("what a read makes differs from %s (BRIDGETEST_UPDATE=1 accepts it): %s", c.Golden, diff)
	}
}

// quiet fails when an error shows a secret.
func quiet(t testing.TB, err error, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		if err != nil && strings.Contains(err.Error(), s) {
			t.Errorf("a secret shows: %v", err)
		}
	}
}
