package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// holding lists the files below a directory that hold a text, as far as it can be read (small blocks of a file may be compressed).
func holding(t testing.TB, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if strings.Contains(string(b), text) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What is erased is gone from log, latest objects, dead letters and the store's files, and may come in again.
func TestErasedObjectIsGoneEverywhereAndMayComeInAgain(t *testing.T) {
	const canary = "Qx7fErasureCanary9Z"
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running %v", running), func(t *testing.T) {
			feed := newCorpus("thing", 50)
			secret := thing("malware", 77, fmt.Sprintf(`"name":"private","is_family":false,"description":%q`, canary))
			id := thingID("malware", 77)
			g := newTarget(t, func(_ int, events []line, _ *http.Request) verdict {
				if len(events) > 0 && events[0].ID == id {
					return verdict{status: 422}
				}
				return verdict{}
			})
			s := newSite(t, fmt.Sprintf("consumers:\n  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red }\n", g.URL))
			s.write("feed.json", strings.Replace(feed.bundle(), "]}", ","+secret+"]}", 1))
			s.must(0, "import", "--producer", "feed", "feed.json")
			s.must(0, "import", "--producer", "second", "feed.json")
			if r := s.run("run", "--once"); r.code != 1 {
				t.Fatalf("the refused object should be a dead letter: %s", r)
			}
			if len(s.letters()) != 2 || len(holding(t, s.data, canary)) == 0 {
				t.Fatal("the test's text is not where it should be gone from")
			}
			var p *process
			if running {
				p = s.start()
				p.settled()
			}
			r := s.must(0, "erase", "--yes", id)
			if !strings.Contains(r.out, "erased 2 events, 2 latest objects, 2 dead letters") {
				t.Errorf("erase says %q", r.out)
			}
			if log := s.tap(); len(log) != 100 || len(ops(log, id)) != 0 {
				t.Errorf("the log has %d events, %d of the erased object", len(log), len(ops(log, id)))
			}
			if l := s.letters(); len(l) != 0 {
				t.Errorf("letters %+v", l)
			}
			for _, args := range [][]string{{"get", id}, {"get", "--history", id}} {
				if r := s.run(args...); r.code != 1 || strings.Contains(r.out, canary) {
					t.Errorf("%v after erase: %s", args, r)
				}
			}
			var missing int
			check := func() {
				t.Helper()
				st, err := s.status()
				if err != nil {
					t.Fatal(err)
				}
				missing = st.Log.Missing
				if missing != 0 || st.Log.Erased != 2 || slices.ContainsFunc(st.Problems, func(p string) bool { return strings.Contains(p, "damaged") }) {
					t.Errorf("status: %d missing, %d erased, %q", st.Log.Missing, st.Log.Erased, st.Problems)
				}
			}
			check()
			if files := holding(t, s.data, canary); len(files) > 0 {
				t.Errorf("the text is still in %q", files)
			}
			g.set(nil)
			out := s.must(0, "import", "--producer", "feed", "feed.json").out
			if !strings.Contains(out, "1 new, 50 unchanged") {
				t.Errorf("a new import says %q", out)
			}
			if running {
				p.settled()
				p.stop()
			} else {
				s.must(0, "run", "--once")
			}
			if got := ops(g.got(), id); !slices.Equal(got, []string{"unmarked create"}) {
				t.Errorf("the target got %q of the object that came again", got)
			}
			check()
		})
	}
}

func TestErasedProducerIsGone(t *testing.T) {
	s := newSite(t, "consumers:\n  - { kind: file, name: out, path: DIR/out.jsonl }\n")
	a, b := newCorpus("aaaCanary", 30), newCorpus("bbb", 30)
	s.write("a.json", a.bundle())
	s.write("b.json", b.bundle())
	s.must(0, "import", "--producer", "a", "a.json")
	s.must(0, "import", "--producer", "b", "b.json")
	s.must(0, "run", "--once")
	s.must(0, "erase", "--yes", "--producer", "a")
	log := s.tap()
	if len(log) != 30 || log[0].Producer != "b" {
		t.Errorf("%d events left", len(log))
	}
	if files := holding(t, s.data, "aaaCanary"); len(files) > 0 {
		t.Errorf("the text is still in %q", files)
	}
	s.must(0, "import", "--producer", "a", "a.json")
	s.must(0, "run", "--once")
	if log := s.tap(); len(log) != 60 {
		t.Errorf("%d events after a new import, want 60", len(log))
	}
	if st, err := s.status(); err != nil || st.Log.Missing != 0 {
		t.Errorf("%d missing, %v", st.Log.Missing, err)
	}
}

// A version that a newer one replaced in STIX_LATEST was deleted there before the erasure; the server overwrites it when it compacts its file. The log's
// own copies of every version are overwritten at once.
func TestErasureOverwritesEveryVersionInTheLog(t *testing.T) {
	s := newSite(t, "consumers:\n  - { kind: file, name: out, path: DIR/out.jsonl }\n")
	feed := newCorpus("verCanary", 1)
	for range 3 {
		s.write("feed.json", feed.bundle())
		s.must(0, "import", "feed.json")
		feed.rev[0]++
	}
	s.must(0, "erase", "--yes", feed.id(0))
	for _, file := range holding(t, s.data, "verCanary") {
		if strings.Contains(file, "STIX_LATEST") {
			t.Logf("%s still holds a replaced version", filepath.Base(file))
			continue
		}
		t.Errorf("%s still holds the text", file)
	}
}
