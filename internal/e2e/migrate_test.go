package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// load changes a source's objects all the time.
type load struct {
	feed *corpus
	stop func()
}

// startLoad touches objects of the feed every 200 ms until stop, which returns when the last version is in the source.
func startLoad(s *site, feed *corpus, r *rand.Rand) *load {
	s.write("feed.json", feed.bundle())
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(200 * time.Millisecond): // the source's pace
			}
			feed.touch(r, 0.1)
			s.write("feed.json", feed.bundle())
		}
	}()
	var once sync.Once
	l := &load{feed, func() { once.Do(func() { close(end); <-ended }) }}
	s.t.Cleanup(l.stop)
	return l
}

// busy is a configuration with a source under load, an HTTP target and a file.
func busy(nats, target string) string {
	return fmt.Sprintf("nats: %s\nhttp: { listen: 'off' }\nproducers:\n  - { kind: stix, name: feed, path: DIR/feed.json, every: 1s }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red, concurrency: 8, start: all }\n"+
		"  - { kind: file, name: archive, path: DIR/out.jsonl, start: all }\n", nats, target)
}

// says waits until a process has printed a text on standard error.
func (p *process) says(text string) {
	p.s.t.Helper()
	await(p.s.t, patience, func() error {
		if log := read1(p.s.t, p.log); !strings.Contains(log, text) {
			if p.ended() {
				p.s.t.Fatalf("it ended without %q: %s%s", text, log, read1(p.s.t, p.out))
			}
			return fmt.Errorf("it has not said %q: %s", text, log)
		}
		return nil
	})
}

// ends waits for a process's end and returns what it printed.
func (p *process) ends(code int) (out, errs string) {
	p.s.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.s.t.Fatalf("still running after %v: %s", patience, tail(p.log))
	}
	out, errs = read1(p.s.t, p.out), read1(p.s.t, p.log)
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.s.t.Fatalf("exit code %d, want %d\n%s%s", got, code, out, errs)
	}
	return out, errs
}

// current reports whether a target holds what the source has by now.
func current(feed *corpus, got []line) error {
	held := state(got)
	for i, rev := range feed.rev {
		if !strings.Contains(string(held[feed.id(i)].Object), fmt.Sprintf(`"revision %d `, rev)) {
			return fmt.Errorf("%s is not current at the target", feed.id(i))
		}
	}
	return nil
}

// A bridge that works is moved to a cluster: events, positions and cursors go on as if nothing had been. The old store is refused afterwards.
func TestMoveToAClusterUnderLoadLosesAndRepeatsNothing(t *testing.T) {
	servers := testpeer.Cluster(t, 3)
	r := rand.New(rand.NewPCG(seed(t), 31))
	g := newTarget(t, func(int, []line, *http.Request) verdict { return verdict{wait: time.Millisecond} })
	s := newSite(t, "")
	feed := newCorpus("thing", 500)
	s.configureAll(busy("{ dir: DIR/data, listen: '127.0.0.1:0' }", g.URL))
	l := startLoad(s, feed, r)
	old := s.start()
	more := func(n int) {
		t.Helper()
		before := len(g.got())
		await(t, patience, func() error {
			if len(g.got()) < before+n {
				return errors.New("too few deliveries")
			}
			return nil
		})
	}
	more(600)
	s.must(0, "erase", "--yes", feed.id(7)) // a gap in the log
	more(100)

	// First attempts: killed while it copies or waits, and given up.
	m := s.startAs("", "migrate", "--to", servers.URL())
	m.says("stop the bridge now")
	m.kill()
	s.write("new.yaml", read1(t, s.path("stixbridge.yaml")))
	half := strings.ReplaceAll(busy(fmt.Sprintf("{ dir: DIR/other, url: %q }", servers.URL()), g.URL), "DIR", s.dir)
	s.write("half.yaml", half)
	if res := s.must(1, "run", "--once", "-c", s.path("half.yaml")); !strings.Contains(res.err, "stixbridge migrate") || !strings.Contains(res.err, "incomplete") {
		t.Errorf("a half-moved cluster is not refused as such: %s", res)
	}

	m = s.startAs("", "migrate", "--to", servers.URL())
	m.says("stop the bridge now")
	if res := s.must(1, "migrate", "--to", servers.URL()); !strings.Contains(res.err, "another move is under way") {
		t.Errorf("a second move: %s", res)
	}
	more(200) // the bridge works on
	before := lines(t, s.must(0, "tap").out)
	old.stop()
	out, errs := m.ends(0)
	t.Log(errs + out)
	if !strings.Contains(out, "nats:\n") || !strings.Contains(out, servers.URL()) {
		t.Errorf("it does not say what to configure: %s", out)
	}
	if res := s.must(1, "run", "--once"); !strings.Contains(res.err, "moved to "+servers.URL()) {
		t.Errorf("the old store is not refused: %s", res)
	}
	if res := s.must(0, "migrate", "--to", servers.URL()); !strings.Contains(res.out, "was moved to") {
		t.Errorf("once more: %s", res)
	}

	// The configuration as printed.
	s.data = ""
	_, section, _ := strings.Cut(out, "start the bridge again:\n\n")
	s.configureAll(strings.Replace(busy("NATS", g.URL), "nats: NATS\n", section, 1))
	atMove := len(g.got())
	p := s.startAs("", "run")
	defer func() {
		if t.Failed() {
			t.Log(s.run("status").out)
		}
	}()
	more(300)
	l.stop()
	await(t, 2*patience, func() error { return current(feed, g.got()) })
	await(t, patience, func() error {
		st, err := s.status()
		if err != nil {
			return err
		}
		return settled(st)
	})
	p.stop()
	log := lines(t, s.must(0, "tap").out)
	if len(log) < len(before) {
		t.Fatalf("%d events, %d before the move", len(log), len(before))
	}
	if d := cmp.Diff(before, log[:len(before)]); d != "" {
		t.Errorf("events from before the move (-before +after):\n%s", d)
	}
	erased := func(all []line) (rest []line) { // deliveries of what was erased later have no event in the log
		known := map[uint64]bool{}
		for _, e := range log {
			known[e.Seq] = true
		}
		for _, e := range all {
			if e.ID != feed.id(7) || known[e.Seq] {
				rest = append(rest, e)
			}
		}
		return rest
	}
	for name, got := range map[string][]line{"webhook": erased(g.got()), "file": erased(read(t, s.path("out.jsonl")))} {
		complete(t, log, got)
		ordered(t, got)
		twice := map[uint64]int{}
		for _, e := range got {
			if twice[e.Seq]++; twice[e.Seq] == 2 {
				t.Errorf("%s: event %d was delivered twice", name, e.Seq)
			}
		}
	}
	singular(t, log)
	feed.holds(t, g.got())
	t.Logf("%d events, %d of them before the bridge was stopped; %d deliveries, %d before the move", len(log), len(before), len(g.got()), atMove)
}

// Killed at any moment, a move leaves one store that runs or none, never two, and the next one finishes it.
func TestMoveKilledAnywhereIsFinishedByTheNextOne(t *testing.T) {
	servers := testpeer.Cluster(t, 3)
	r := rand.New(rand.NewPCG(seed(t), 32))
	s := newSite(t, oneFeed)
	feed := newCorpus("thing", 1000)
	s.write("feed.json", feed.bundle())
	s.must(0, "run", "--once")
	feed.touch(r, 0.5)
	s.write("feed.json", feed.bundle())
	s.must(0, "run", "--once")
	want := s.tap()
	s.write("new.yaml", strings.ReplaceAll(fmt.Sprintf("nats: { dir: DIR/data, url: %q }\nhttp: { listen: 'off' }\n%s", servers.URL(), oneFeed), "DIR", s.dir))
	const span = 4 * time.Second // about what it takes here
	for i := range kills() {
		m := s.startAs("", "migrate", "--to", servers.URL())
		select {
		case <-m.done:
		case <-time.After(span*time.Duration(i)/time.Duration(kills()) + time.Duration(r.Int64N(int64(span)/int64(kills())))): // the moment, not a synchronisation
			m.kill()
		}
		old, moved := s.run("status"), s.run("status", "-c", s.path("new.yaml"))
		t.Logf("old: exit code %d, new: exit code %d %.150s", old.code, moved.code, moved.err)
		if old.code == 0 && moved.code == 0 {
			t.Fatalf("both stores run:\n%s\n%s", old, moved)
		}
		if moved.code == 0 {
			break
		}
	}
	s.must(0, "migrate", "--to", servers.URL())
	if d := cmp.Diff(want, lines(t, s.must(0, "tap", "-c", s.path("new.yaml")).out)); d != "" {
		t.Errorf("events (-before the move +after):\n%s", d)
	}
	before := read(t, s.path("out.jsonl"))
	s.must(0, "run", "--once", "-c", s.path("new.yaml"))
	if d := cmp.Diff(before, read(t, s.path("out.jsonl"))); d != "" {
		t.Errorf("the target got more although nothing was new:\n%s", d)
	}
}
