package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stixbridge/stixbridge/stix"
)

// line is an event as tap, the file sink and the webhook write it.
type line struct {
	Seq      uint64          `json:"seq"`
	Producer string          `json:"producer"`
	TLP      string          `json:"tlp"`
	Op       string          `json:"op"`
	ID       string          `json:"id"`
	EventID  string          `json:"event_id"`
	Object   json.RawMessage `json:"object"`
	Context  json.RawMessage `json:"context"`
}

// takesBack reports whether the target must no longer hold the object after it.
func (l line) takesBack() bool { return l.Op == "delete" || l.Op == "expire" || l.Op == "retract" }

// lines reads JSON lines; a torn one fails the test.
func lines(t testing.TB, text string) (all []line) {
	t.Helper()
	if text != "" && !strings.HasSuffix(text, "\n") {
		t.Errorf("the last line is torn: …%s", text[max(0, len(text)-80):])
	}
	for i, s := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if text == "" {
			break
		}
		var l line
		if err := json.Unmarshal([]byte(s), &l); err != nil {
			t.Fatalf("line %d is no event: %v: %.200s", i+1, err, s)
		}
		all = append(all, l)
	}
	return all
}

// read returns the events in a file.
func read(t testing.TB, file string) []line {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return lines(t, string(b))
}

// complete checks that the target has every event of the log, each with its content, and nothing else.
func complete(t testing.TB, log, got []line) {
	t.Helper()
	want := map[uint64]line{}
	for _, l := range log {
		want[l.Seq] = l
	}
	have := map[uint64]bool{}
	for _, g := range got {
		w, ok := want[g.Seq]
		if !ok || w.ID != g.ID || w.Op != g.Op || w.EventID != g.EventID || !bytes.Equal(w.Object, g.Object) {
			t.Errorf("the target has %d %s %s, the log %d %s %s", g.Seq, g.Op, g.ID, w.Seq, w.Op, w.ID)
		}
		have[g.Seq] = true
	}
	missing := 0
	for _, l := range log {
		if !have[l.Seq] {
			if missing++; missing <= 5 {
				t.Errorf("the target lacks event %d, %s of %s", l.Seq, l.Op, l.ID)
			}
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d events lost", missing, len(log))
	}
}

// ordered checks that no object got an older version after a newer one. A repeat of the last one is allowed.
func ordered(t testing.TB, got []line) {
	t.Helper()
	for _, text := range stale(got) {
		t.Error(text)
	}
}

// stale lists the events that came after a newer one of their object.
func stale(got []line) (all []string) {
	last := map[string]uint64{}
	for _, l := range got {
		if l.Seq < last[l.ID] {
			all = append(all, fmt.Sprintf("%s: event %d after %d", l.ID, l.Seq, last[l.ID]))
		}
		last[l.ID] = max(last[l.ID], l.Seq)
	}
	return all
}

// singular checks that the log has one event for each change: no producer says the same of an object twice in a row.
func singular(t testing.TB, log []line) {
	t.Helper()
	last := map[string]line{}
	for _, l := range log {
		key := l.Producer + " " + l.ID
		before, known := last[key]
		if known && before.takesBack() == l.takesBack() && before.TLP == l.TLP && equal(t, before.Object, l.Object) {
			t.Errorf("%s says twice the same of %s: events %d %s and %d %s", l.Producer, l.ID, before.Seq, before.Op, l.Seq, l.Op)
		}
		last[key] = l
	}
}

func equal(t testing.TB, a, b json.RawMessage) bool {
	t.Helper()
	if bytes.Equal(a, b) {
		return true
	}
	x, err := stix.Canonical(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := stix.Canonical(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}

// state is what a target that applies the events holds in the end, by id.
func state(got []line) map[string]line {
	m := map[string]line{}
	for _, l := range got {
		if l.takesBack() {
			delete(m, l.ID)
		} else {
			m[l.ID] = l
		}
	}
	return m
}

// ops lists the operations on an object in their order.
func ops(all []line, id string) (s []string) {
	for _, l := range all {
		if l.ID == id {
			s = append(s, l.TLP+" "+l.Op)
		}
	}
	return s
}
