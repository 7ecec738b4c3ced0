package e2e

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

// SIGTERM in the midst of delivery: what is under way is finished, exit code 0, and after the next start nothing comes twice.
func TestSIGTERMDrainsAndNothingComesTwiceAfterIt(t *testing.T) {
	const n = 400
	amidst := make(chan struct{})
	g := newTarget(t, func(call int, _ []line, _ *http.Request) verdict {
		if call == n/4 {
			close(amidst)
		}
		return verdict{wait: 20 * time.Millisecond}
	})
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red, concurrency: 8 }\n", g.URL))
	feed := newCorpus("thing", n)
	s.write("feed.json", feed.bundle())
	p := s.start()
	<-amidst
	begun := time.Now()
	p.stop()
	t.Logf("ended after %v, %d of %d delivered", time.Since(begun).Round(time.Millisecond), len(g.got()), n)
	if left := n - len(g.got()); left <= 0 {
		t.Error("everything was delivered: this was no stop in the midst")
	}
	p = s.start()
	p.settled()
	p.stop()
	if got := len(g.got()); got != n {
		t.Errorf("%d deliveries of %d events", got, n)
	}
	complete(t, s.tap(), g.got())
	ordered(t, g.got())
}

// SIGTERM while the target takes an event and never answers: the bridge does not wait for ever, and delivers it again.
func TestSIGTERMWithATargetThatNeverAnswersEndsAllTheSame(t *testing.T) {
	t.Parallel() // it waits most of the time
	hangs := make(chan struct{}, 100)
	g := newTarget(t, func(int, []line, *http.Request) verdict {
		hangs <- struct{}{}
		return verdict{hang: true}
	})
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red }\n", g.URL))
	s.write("feed.json", newCorpus("thing", 3).bundle())
	p := s.start()
	<-hangs
	p.stop()
	g.set(nil)
	p = s.start()
	p.settled()
	p.stop()
	complete(t, s.tap(), g.got())
}

// SIGTERM in the midst of an import: what was begun is finished or goes on, and no change is said twice.
func TestSIGTERMInTheMidstOfAnImportLosesNothing(t *testing.T) {
	s := newSite(t, oneFeed)
	feed := newCorpus("thing", 20_000)
	s.write("feed.json", feed.bundle())
	p := s.start()
	await(t, patience, func() error { // the first delivered events are there
		st, err := os.Stat(s.path("out.jsonl"))
		if err == nil && st.Size() == 0 {
			err = fmt.Errorf("nothing delivered")
		}
		return err
	})
	p.stop()
	t.Logf("%d events before the stop", len(s.tap()))
	s.must(0, "run", "--once")
	log := s.tap()
	complete(t, log, read(t, s.path("out.jsonl")))
	ordered(t, read(t, s.path("out.jsonl")))
	singular(t, log)
	feed.holds(t, log)
}
