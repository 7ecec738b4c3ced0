package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// A target that refuses, fails, tears connections or never answers: nothing is lost, the position is right afterwards, and status says what
// is wrong while it is.
func TestTargetThatFailsForAWhileLosesNothingAndStatusSaysWhy(t *testing.T) {
	t.Parallel() // it waits most of the time
	outage := 3 * time.Second
	if soak() > 0 {
		outage = 40 * time.Second
	}
	for _, c := range []struct {
		name   string
		fault  verdict
		span   time.Duration
		health string
		says   string // regular expression for what status says
	}{
		{"401 for three seconds", verdict{status: 401, body: "token expired"}, 3 * time.Second, bridge.Refused, "401"},
		{"403 for three seconds", verdict{status: 403}, 3 * time.Second, bridge.Refused, "403"},
		{"503 for a while", verdict{status: 503}, outage, bridge.Retrying, "503"},
		{"404 for a while, as a mistyped address gives", verdict{status: 404}, 3 * time.Second, bridge.Retrying, "404"},
		{"connections reset", verdict{reset: true}, 3 * time.Second, bridge.Retrying, "(?i)reset|EOF"},
		{"takes the event and never answers", verdict{hang: true}, 3 * time.Second, bridge.Retrying, "no answer within 1s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			const n = 60
			well := make(chan struct{}) // closed: the target is well again
			g := newTarget(t, func(_ int, events []line, _ *http.Request) verdict {
				select {
				case <-well:
				default:
					if len(events) == 0 || events[0].Seq > n/3 {
						return c.fault
					}
				}
				return verdict{}
			})
			s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json }\nconsumers:\n"+
				"  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red, concurrency: 4, timeout: 1s }\n", g.URL))
			feed := newCorpus("thing", n)
			s.write("feed.json", feed.bundle())
			p := s.start()
			begun := time.Now()
			await(t, patience, func() error {
				st, err := s.status()
				k := consumer(st, "soc")
				if err == nil && (k.Health != c.health || !regexp.MustCompile(c.says).MatchString(k.Error) || !strings.Contains(strings.Join(st.Problems, "\n"), "consumer soc")) {
					err = fmt.Errorf("status says %s: %q, problems %q", k.Health, k.Error, st.Problems)
				}
				return err
			})
			if left := c.span - time.Since(begun); left > 0 {
				time.Sleep(left) // the fault's length
			}
			close(well)
			st := p.settled()
			if k := consumer(st, "soc"); k.Position != st.Log.LastSeq || k.Error != "" || k.Dead != 0 {
				t.Errorf("position %d of %d, error %q, %d dead letters", k.Position, st.Log.LastSeq, k.Error, k.Dead)
			}
			if len(st.Problems) > 0 {
				t.Errorf("problems that are over: %q", st.Problems)
			}
			p.stop()
			log := s.tap()
			complete(t, log, g.got())
			ordered(t, g.got())
			feed.holds(t, g.got())
			if len(log) != n {
				t.Errorf("%d events, want %d", len(log), n)
			}
		})
	}
}

func TestObjectThatAlwaysGets500BecomesADeadLetterAndTheRestArrives(t *testing.T) {
	t.Parallel() // it waits most of the time
	const n = 40
	feed, side := newCorpus("thing", n), &corpus{"side", make([]int, 1)}
	poison := []string{feed.id(7), feed.id(21)}
	g := newTarget(t, func(_ int, events []line, _ *http.Request) verdict {
		if len(events) > 0 && slices.Contains(poison, events[0].ID) {
			return verdict{status: 500, body: "cannot parse this"}
		}
		return verdict{}
	})
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json, every: 1s }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red, concurrency: 4 }\n", g.URL))
	s.write("feed.json", feed.bundle())
	p := s.start()
	await(t, patience, func() error {
		st, err := s.status()
		if k := consumer(st, "soc"); err == nil && (k.Dead != 2 || k.Lag > 0) {
			err = fmt.Errorf("%d dead letters, lag %d, %s %s", k.Dead, k.Lag, k.Health, k.Error)
			side.rev[0]++ // others go on: the target takes their events
			s.write("side.json", side.bundle())
			s.must(0, "import", "--producer", "side", "side.json")
		}
		return err
	})
	before := s.tap("--last", "1")[0].Seq
	if got := state(g.got()); len(got) != n-2 { // the one from the side has an id of the feed's
		t.Errorf("the target holds %d objects, want %d", len(got), n-2)
	}
	letters := s.letters()
	if len(letters) != 2 {
		t.Fatalf("letters: %+v", letters)
	}
	for _, l := range letters {
		if l.Name != "soc" || !slices.Contains(poison, l.ID) || l.Attempts < 8 || !strings.Contains(l.Reason, "500") {
			t.Errorf("letter %+v: want the consumer, the object, 8 attempts or more and the target's answer", l)
		}
	}
	// The target is mended. One of the two objects has moved on meanwhile.
	g.set(nil)
	feed.rev[21]++
	s.write("feed.json", feed.bundle())
	await(t, patience, func() error {
		if state(g.got())[feed.id(21)].Seq <= before {
			return errors.New("the new version has not arrived")
		}
		return nil
	})
	for _, l := range letters {
		word := "delivered"
		if l.ID == feed.id(21) {
			word = "superseded"
		}
		if out := s.must(0, "dlq", "redrive", fmt.Sprint(l.Seq)).out; !strings.Contains(out, word) {
			t.Errorf("redrive of %s says %q, want %s", l.ID, out, word)
		}
	}
	if left := s.letters(); len(left) != 0 {
		t.Errorf("letters after the redrive: %+v", left)
	}
	p.settled()
	p.stop()
	complete(t, s.tap(), append(g.got(), skipped(s.tap(), poison[1])...)) // the superseded version is the one that nobody needs
	ordered(t, g.got())
}

// skipped is the first event of an object.
func skipped(log []line, id string) []line {
	i := slices.IndexFunc(log, func(l line) bool { return l.ID == id })
	return log[i : i+1]
}

// The same, from a source that has nothing else to say: the target's other successes are all before the last failures.
func TestObjectThatAlwaysGets500BecomesADeadLetterAlsoWhenNothingElseComes(t *testing.T) {
	t.Parallel() // it waits most of the time
	feed := newCorpus("thing", 40)
	g := newTarget(t, func(_ int, events []line, _ *http.Request) verdict {
		if len(events) > 0 && events[0].ID == feed.id(7) {
			return verdict{status: 500}
		}
		return verdict{}
	})
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red }\n", g.URL))
	s.write("feed.json", feed.bundle())
	p := s.start()
	await(t, time.Minute, func() error {
		st, err := s.status()
		if k := consumer(st, "soc"); err == nil && (k.Dead != 1 || k.Lag > 0) {
			err = fmt.Errorf("%d dead letters, lag %d, %s %s after %d deliveries", k.Dead, k.Lag, k.Health, k.Error, k.Deliveries)
		}
		return err
	})
	p.settled() // nothing is left to retry: it is well again
}

func TestTargetRefusesOneObjectForGood(t *testing.T) {
	feed := newCorpus("thing", 20)
	g := newTarget(t, func(_ int, events []line, _ *http.Request) verdict {
		if len(events) > 0 && events[0].ID == feed.id(3) {
			return verdict{status: 422, body: "no such field"}
		}
		return verdict{}
	})
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red }\n", g.URL))
	s.write("feed.json", feed.bundle())
	r := s.must(1, "run", "--once")
	if !strings.Contains(r.err, "1 dead letters") {
		t.Errorf("the end of run --once does not name the dead letter: %s", r.err)
	}
	letters := s.letters()
	if len(letters) != 1 || letters[0].ID != feed.id(3) || letters[0].Attempts != 1 || !strings.Contains(letters[0].Reason, "422") {
		t.Fatalf("letters: %+v", letters)
	}
	g.set(nil)
	// No bridge runs: the command delivers it by itself.
	if out := s.must(0, "dlq", "redrive", "soc").out; !strings.Contains(out, "delivered") {
		t.Errorf("redrive says %q", out)
	}
	feed.holds(t, g.got())
	if r := s.must(0, "run", "--once"); strings.Contains(r.err, "dead letter") {
		t.Errorf("a second run: %s", r)
	}
}

// A file sink whose directory vanishes waits for it and goes on.
func TestFileWhoseDirectoryIsGoneWaitsForIt(t *testing.T) {
	feed := newCorpus("thing", 10)
	s := newSite(t, "producers:\n  - { kind: stix, name: feed, path: DIR/feed.json, every: 1s }\nconsumers:\n  - { kind: file, name: out, path: DIR/there/out.jsonl }\n")
	s.write("feed.json", feed.bundle())
	if err := os.Mkdir(s.path("there"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := s.start()
	p.settled()
	if err := os.Rename(s.path("there"), s.path("gone")); err != nil {
		t.Fatal(err)
	}
	feed.rev[0]++
	s.write("feed.json", feed.bundle())
	await(t, patience, func() error {
		st, err := s.status()
		if k := consumer(st, "out"); err == nil && (k.Health != bridge.Retrying || !strings.Contains(k.Error, "does not exist: make it")) {
			err = fmt.Errorf("status says %s: %q", k.Health, k.Error)
		}
		return err
	})
	if err := os.Rename(s.path("gone"), s.path("there")); err != nil {
		t.Fatal(err)
	}
	p.settled()
	p.stop()
	complete(t, s.tap(), read(t, s.path("there/out.jsonl")))
}
