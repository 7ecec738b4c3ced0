package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// bridge builds the binary that the demo runs.
func bridge(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stixbridge")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, "./cmd/stixbridge")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// The demo with a shortened timetable: 401, 503, kill -9 in a burst, GREEN to RED, an emptied SIEM and its replay. It fails when
// our lane or the NATS subscriber lacks anything.
func TestDemoEndsWithNothingMissingStaleOrLeaked(t *testing.T) {
	t.Chdir(testpeer.Root(t))
	binary := bridge(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var out strings.Builder
	err := run(t.Context(), options{plan: quick, bridge: binary, listen: "127.0.0.1:0", out: &out})
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"401 for", "503 for", "stixbridge: kill -9", "took it back", "as it was"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the timetable has no %q", want)
		}
	}
	if !regexp.MustCompile(`(?m)^  missing +0 +0$`).MatchString(out.String()) {
		t.Error("the scoreboard does not say that nothing is missing")
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestScreenIsNeverWiderThanATerminalOfAHundredColumns(t *testing.T) {
	long := strings.Repeat("é", 300)
	p := pane{Name: long, State: long, Answer: long, Heard: long, Faults: long, Rows: slices.Repeat([]row{{At: long, Op: long, TLP: long, Name: long, Score: 100}}, 30)}
	frame := view{Clock: long, Acts: slices.Repeat([]string{long}, 40), Sent: long, Partner: long, Lanes: []pane{p, p}}.frame(long, long)
	if len(frame) > 30 {
		t.Errorf("%d lines", len(frame))
	}
	colour := regexp.MustCompile("\x1b\\[\\d*m")
	for _, line := range frame {
		if n := utf8.RuneCountInString(colour.ReplaceAllString(line, "")); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
