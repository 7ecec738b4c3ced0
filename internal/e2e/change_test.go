package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const oneFeed = "producers:\n  - { kind: stix, name: feed, path: DIR/feed.json }\nconsumers:\n  - { kind: file, name: out, path: DIR/out.jsonl }\n"

// run --once, and what it added to the log.
func (s *site) once(code int, flags ...string) (r result, added []line) {
	s.t.Helper()
	var before uint64
	if _, err := os.Stat(s.data); err == nil {
		if all := s.tap("--last", "1"); len(all) > 0 {
			before = all[0].Seq
		}
	}
	r = s.must(code, append([]string{"run", "--once"}, flags...)...)
	for _, l := range s.tap() {
		if l.Seq > before {
			added = append(added, l)
		}
	}
	return r, added
}

func TestTheSameBundleAgainIsNoEventAndOneChangedObjectIsOneUpdate(t *testing.T) {
	s := newSite(t, oneFeed)
	feed := newCorpus("thing", 100)
	s.write("feed.json", feed.bundle())
	if _, added := s.once(0); len(added) != 100 {
		t.Fatalf("%d events from the first read, want 100", len(added))
	}
	if _, added := s.once(0); len(added) != 0 {
		t.Errorf("the same file again: %d events", len(added))
	}
	s.write("feed.json", strings.ReplaceAll(feed.bundle(), ",\n", " ,  \n"))
	if _, added := s.once(0); len(added) != 0 {
		t.Errorf("the same content, written otherwise: %d events", len(added))
	}
	if out := s.must(0, "import", "--producer", "feed", "feed.json").out; !strings.Contains(out, "0 new, 100 unchanged") {
		t.Errorf("import of the same says %q", out)
	}
	feed.rev[42]++ // modified stays
	s.write("feed.json", feed.bundle())
	_, added := s.once(0)
	if len(added) != 1 || added[0].Op != "update" || added[0].ID != feed.id(42) {
		t.Errorf("one object changed under the same modified: %v", added)
	}
	feed.holds(t, read(t, s.path("out.jsonl")))
	singular(t, s.tap())
}

func TestContentThatGoesBackAndForthWithinASecondIsThreeEvents(t *testing.T) {
	s := newSite(t, "consumers:\n  - { kind: file, name: out, path: DIR/out.jsonl }\n")
	feed := newCorpus("thing", 1)
	s.write("a.json", feed.bundle())
	feed.rev[0]++
	s.write("b.json", feed.bundle())
	s.must(0, "import", "a.json", "b.json", "a.json", "a.json")
	if got := ops(s.tap(), feed.id(0)); !slices.Equal(got, []string{"unmarked create", "unmarked update", "unmarked update"}) {
		t.Errorf("events %q, want three", got)
	}
}

func TestTwoProducersWithOneIDAndDifferentContentDoNotFlipFlop(t *testing.T) {
	s := newSite(t, "producers:\n  - { kind: stix, name: left, path: DIR/left.json }\n  - { kind: stix, name: right, path: DIR/right.json }\n"+
		"consumers:\n  - { kind: file, name: out, path: DIR/out.jsonl }\n")
	left, right := newCorpus("left", 20), newCorpus("right", 20)
	s.write("left.json", left.bundle())
	s.write("right.json", right.bundle())
	s.once(0)
	for range 2 {
		if _, added := s.once(0); len(added) != 0 {
			t.Errorf("a further run: %d events", len(added))
		}
	}
	for range 2 { // imports read everything again, whatever a cursor says
		s.must(0, "import", "--producer", "left", "left.json")
		s.must(0, "import", "--producer", "right", "right.json")
	}
	log := s.tap()
	if len(log) != 40 {
		t.Errorf("%d events, want 40", len(log))
	}
	complete(t, log, read(t, s.path("out.jsonl")))
	if out := s.must(0, "get", left.id(3)).out; len(lines(t, out)) != 2 {
		t.Errorf("get: %s", out)
	}
}

func TestSnapshotDeletesWhatIsGoneButNotHalfOfEverything(t *testing.T) {
	s := newSite(t, strings.Replace(oneFeed, "DIR/feed.json", "DIR/feed.json, snapshot: true", 1))
	feed := newCorpus("thing", 100)
	full := *feed
	s.write("feed.json", feed.bundle())
	s.once(0)

	feed.rev = feed.rev[:99]
	s.write("feed.json", feed.bundle())
	_, added := s.once(0)
	if len(added) != 1 || added[0].Op != "delete" || added[0].ID != feed.id(99) {
		t.Errorf("one of 100 gone: %v", added)
	}

	feed.rev = feed.rev[:50]
	s.write("feed.json", feed.bundle())
	for range 2 { // it does not get through by trying again
		r, added := s.once(1)
		if len(added) != 0 {
			t.Errorf("half gone: %d events", len(added))
		}
		if !strings.Contains(r.err, "--accept-deletes feed") || !strings.Contains(r.err, "49 of 99") {
			t.Errorf("the error names neither how many nor the remedy: %s", r.err)
		}
	}
	// A file that breaks off deletes nothing, forced or not.
	whole := feed.bundle()
	s.write("feed.json", whole[:len(whole)/2])
	if r, added := s.once(1, "--accept-deletes", "feed"); len(added) != 0 || !strings.Contains(r.err, "not complete, well-formed JSON") {
		t.Errorf("half a file: %d events, %s", len(added), r.err)
	}
	s.write("feed.json", whole)
	if _, added := s.once(0, "--accept-deletes", "feed"); len(added) != 49 {
		t.Errorf("half gone and accepted: %d events, want 49 deletes", len(added))
	}
	feed.holds(t, read(t, s.path("out.jsonl")))

	s.write("feed.json", full.bundle())
	if _, added := s.once(0); len(added) != 50 || added[0].Op != "create" {
		t.Errorf("all back: %d events", len(added))
	}
	full.holds(t, read(t, s.path("out.jsonl")))
}

func TestSnapshotOfThreeObjectsThatLosesOneIsADelete(t *testing.T) {
	s := newSite(t, strings.Replace(oneFeed, "DIR/feed.json", "DIR/feed.json, snapshot: true", 1))
	feed := newCorpus("thing", 3)
	s.write("feed.json", feed.bundle())
	s.once(0)
	feed.rev = feed.rev[:2]
	s.write("feed.json", feed.bundle())
	_, added := s.once(0)
	if got := fmt.Sprint(ops(added, feed.id(2))); len(added) != 1 || got != "[unmarked delete]" {
		t.Errorf("events %s of %d", got, len(added))
	}
	if diff := cmp.Diff(2, len(state(read(t, s.path("out.jsonl"))))); diff != "" {
		t.Error(diff)
	}
}
