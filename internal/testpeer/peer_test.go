package testpeer

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// recorder keeps how a test ended instead of ending it.
type recorder struct {
	testing.TB
	fatal, skip string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(f string, args ...any) {
	r.fatal = fmt.Sprintf(f, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(f string, args ...any) {
	r.skip = fmt.Sprintf(f, args...)
	runtime.Goexit()
}

func TestMissingPeerSkipsLoudlyAndFailsInCI(t *testing.T) {
	for _, c := range []struct {
		ci           string
		fatal, skips bool
	}{{"", false, true}, {"false", false, true}, {"true", true, false}} {
		t.Setenv("CI", c.ci)
		var r recorder
		done := make(chan struct{})
		go func() {
			defer close(done)
			missing(&r, "a teapot", "buy one")
		}()
		<-done
		if (r.fatal != "") != c.fatal || (r.skip != "") != c.skips {
			t.Errorf("CI=%q: fatal %q, skip %q", c.ci, r.fatal, r.skip)
		}
		if said := r.fatal + r.skip; !strings.Contains(said, "a teapot") || !strings.Contains(said, "buy one") {
			t.Errorf("CI=%q: %q does not say what is missing and what to do", c.ci, said)
		}
	}
}

func TestRootHoldsTheModule(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(Root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "module github.com/stixbridge/stixbridge\n") {
		t.Errorf("go.mod begins with %.60q", text)
	}
}
