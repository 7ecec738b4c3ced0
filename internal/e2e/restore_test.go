package e2e

import (
	"math/rand/v2"
	"os"
	"testing"
)

// The drill of the operations page: a copy of the whole directory, taken while the bridge was stopped, is put back after more has happened.
// The source is read again, the target ends as the source is.
func TestACopyOfTheDirectoryThatIsPutBackEndsWithWhatTheSourceHas(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 21))
	s := newSite(t, oneFeed)
	feed := newCorpus("thing", 200)
	move := func(from, to string) {
		t.Helper()
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	s.write("feed.json", feed.bundle())
	s.once(0)
	move(s.data, s.path("backup"))
	for range 2 {
		feed.touch(r, 0.5)
		s.write("feed.json", feed.bundle())
		s.once(0)
	}
	feed.holds(t, read(t, s.path("out.jsonl")))

	move(s.path("backup"), s.data)
	if _, added := s.once(0); len(added) == 0 {
		t.Error("the source was not read again")
	}
	feed.holds(t, s.tap())
	feed.holds(t, read(t, s.path("out.jsonl")))
	singular(t, s.tap())
}
