package opencti

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// What OpenCTI's own client makes of a stream is what we make of it: the same objects with the same operations, in the same order.
func TestOpenCTIsOwnClientSeesTheSame(t *testing.T) {
	python := testpeer.Python(t, "pycti")
	p := inPlatform(t, 20, octitest.Options{Heartbeat: 200 * time.Millisecond})
	must(t, p.Upsert(identity1(3, "v2")))
	must(t, p.Upsert(identity1(3, "v1")))
	must(t, p.Delete("identity--00000005-0000-4000-8000-000000000000"))
	must(t, p.Merge("identity--00000006-0000-4000-8000-000000000000", "identity--00000007-0000-4000-8000-000000000000"))
	must(t, p.Upsert(identity1(99, "last")))

	cmd := exec.Command(python, "testdata/listen.py", p.URL, p.Token, p.Stream, "false")
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	type seen struct{ Name, Object string }
	var theirs []seen
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var l [5]string
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue
		}
		theirs = append(theirs, seen{l[1], l[2]})
		if l[2] == "identity--00000063-0000-4000-8000-000000000000" {
			break
		}
	}
	c := follow(p)
	c.Recover = false
	tp := newTape()
	_ = play(t, c, tp, func(tp *tape) bool {
		cs := tp.changes()
		return len(cs) > 0 && cs[len(cs)-1].Object.ID() == "identity--00000063-0000-4000-8000-000000000000"
	})
	var ours []seen
	for _, c := range tp.changes() {
		ours = append(ours, seen{string(c.Op), c.Object.ID()})
	}
	if d := cmp.Diff(theirs, ours); d != "" || len(ours) < 25 {
		t.Errorf("%d events; pycti - ours +:\n%s", len(ours), d)
	}
}
