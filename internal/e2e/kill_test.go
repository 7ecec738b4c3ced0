package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"
)

// kill -9 at random moments of import and of delivery, to a file and to a webhook: the target is complete, no line is torn, no object goes
// back in time, and the log has one event for each change.
func TestKilledAnywhereNothingIsLostTornDisorderedOrSaidTwice(t *testing.T) {
	for _, sink := range []string{"file", "webhook"} {
		for _, moment := range []string{"import", "delivery"} {
			t.Run(moment+" to "+sink, func(t *testing.T) { killCell(t, moment, sink) })
		}
	}
}

func killCell(t *testing.T, moment, sink string) {
	r := rand.New(rand.NewPCG(seed(t), uint64(len(moment)*10+len(sink))))
	size := 6000
	if sink == "webhook" {
		size = 2000
	}
	c := newCorpus("victim", size)
	var p *process
	reached := make(chan struct{}, 1)
	left := -1 // requests until the kill
	g := newTarget(t, func(int, []line, *http.Request) verdict {
		if left--; left == 0 {
			reached <- struct{}{}
		}
		return verdict{}
	})
	consumers := "  - { kind: file, name: out, path: DIR/out.jsonl }\n"
	if sink == "webhook" {
		consumers = fmt.Sprintf("  - { kind: webhook, name: out, url: %q, producers: ['*'], max_tlp: red, concurrency: 8, start: all }\n", g.URL)
	}
	s := newSite(t, "producers:\n  - { kind: stix, name: feed, path: DIR/feed.json }\nconsumers:\n"+consumers)
	out := s.path("out.jsonl")
	taken := func() []line {
		if sink == "file" {
			return read(t, out)
		}
		return g.got()
	}

	s.write("feed.json", c.bundle())
	begun := time.Now()
	p = s.start() // undisturbed: how long an import takes here
	if moment == "import" {
		await(t, patience, func() error {
			st, err := s.status()
			if err == nil && producer(st, "feed").Health != "idle" {
				err = fmt.Errorf("producer: %s", producer(st, "feed").Health)
			}
			return err
		})
	} else {
		p.settled()
	}
	span := time.Since(begun)
	p.kill()

	amidst := 0
	for range kills() {
		c.touch(r, 0.5)
		s.write("feed.json", c.bundle())
		before := int64(len(c.rev))
		switch {
		case moment == "import":
			p = s.start()
			time.Sleep(time.Duration(r.Int64N(int64(span)))) // the moment, not a synchronisation
		case sink == "webhook":
			g.mu.Lock()
			left = 1 + r.IntN(size/3)
			g.mu.Unlock()
			p = s.start()
			select {
			case <-reached:
			case <-p.done:
				t.Fatal("the bridge ended by itself")
			case <-time.After(patience):
				t.Fatal("no delivery")
			}
		default:
			if st, err := os.Stat(out); err == nil {
				before = st.Size()
			}
			grown := before + r.Int64N(before/6)
			p = s.start()
			for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
				if st, err := os.Stat(out); err == nil && st.Size() > grown {
					break
				}
			}
		}
		if !p.kill() {
			t.Fatalf("the bridge had ended by itself\n%s", tail(p.log))
		}
		st := s.must(0, "status", "--json").out
		if lag := consumerLag(t, st, "out"); lag > 0 {
			amidst++
		}
	}
	p = s.start()
	st := p.settled()
	p.stop()
	log := s.tap()
	got := taken()
	t.Logf("%d kills, %d with events undelivered; %d events, %d deliveries", kills(), amidst, len(log), len(got))
	if k := consumer(st, "out"); k.Position != st.Log.LastSeq {
		t.Errorf("position %d, the log ends at %d", k.Position, st.Log.LastSeq)
	}
	complete(t, log, got)
	ordered(t, got)
	singular(t, log)
	c.holds(t, got)
	c.holds(t, log)
}

// kill -9 of `stixbridge import`, which keeps no cursor: the next one goes on from what is stored.
func TestImportKilledAnywhereIsMadeGoodByTheNextOne(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 3))
	c := newCorpus("victim", 10_000)
	s := newSite(t, "consumers:\n  - { kind: file, name: out, path: DIR/out.jsonl }\n")
	s.write("feed.json", c.bundle())
	begun := time.Now()
	s.must(0, "import", "--producer", "other", "feed.json")
	span := time.Since(begun)
	for range kills() {
		c.touch(r, 0.5)
		s.write("feed.json", c.bundle())
		p := s.startAs("", "import", "--producer", "feed", "feed.json")
		time.Sleep(time.Duration(r.Int64N(int64(span)))) // the moment, not a synchronisation
		p.kill()
	}
	s.must(0, "run", "--once") // consumers are not held up by what the killed ones left
	s.must(0, "import", "--producer", "feed", "feed.json")
	s.must(0, "run", "--once")
	log, got := s.tap(), read(t, s.path("out.jsonl"))
	t.Logf("%d events", len(log))
	complete(t, log, got)
	ordered(t, got)
	singular(t, log)
	c.holds(t, s.tap("--producer", "feed"))
}
