package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// Two instances on a cluster of three servers: one works, the other stands by and takes over when the first is killed; the target fails for a
// while; a server is killed. In the end everything has arrived, in order, and no change was said twice.
func TestTwoInstancesOnAClusterTakeOverFromEachOther(t *testing.T) {
	servers := testpeer.Cluster(t, 3)
	r := rand.New(rand.NewPCG(seed(t), 13))
	var down atomic.Bool
	g := newTarget(t, func(int, []line, *http.Request) verdict {
		if down.Load() {
			return verdict{status: 503}
		}
		return verdict{wait: time.Millisecond}
	})
	s := newSite(t, "")
	s.data = "" // not ours
	feed := newCorpus("thing", 1000)
	s.write("feed.json", feed.bundle())
	for _, name := range []string{"one", "two"} {
		s.configureAll(fmt.Sprintf("nats: { url: %q, dir: DIR/%s }\nhttp: { listen: 'off' }\nproducers:\n  - { kind: stix, name: feed, path: DIR/feed.json, every: 1s }\nconsumers:\n"+
			"  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red, concurrency: 8, start: all }\n", servers.URL(), name, g.URL))
		s.write(name+".yaml", read1(t, s.path("stixbridge.yaml")))
	}
	running := map[string]*process{}
	begin := func(name string) { running[name] = s.startAs("", "run", "-c", s.path(name+".yaml")) }
	current := func() error { // the target holds what the source has
		held := state(g.got())
		for i, rev := range feed.rev {
			if !strings.Contains(string(held[feed.id(i)].Object), fmt.Sprintf(`"revision %d `, rev)) {
				return fmt.Errorf("%s is not current at the target", feed.id(i))
			}
		}
		return nil
	}
	begin("one")
	await(t, patience, func() error {
		if len(g.got()) == 0 {
			return fmt.Errorf("nothing delivered")
		}
		return nil
	})
	begin("two")
	await(t, patience, func() error { return standing(running["two"]) })
	await(t, patience, current)
	if n := len(g.got()); n != len(feed.rev) {
		t.Errorf("%d deliveries of %d events with an instance standing by", n, len(feed.rev))
	}

	for _, name := range []string{"one", "two"} { // who leads is killed in the midst of it
		feed.touch(r, 0.5)
		s.write("feed.json", feed.bundle())
		before := len(g.got())
		await(t, patience, func() error {
			if len(g.got()) == before {
				return fmt.Errorf("nothing delivered")
			}
			return nil
		})
		killed := time.Now()
		running[name].kill()
		await(t, patience, func() error { return current() })
		t.Logf("%s killed: everything is there %v later", name, time.Since(killed).Round(100*time.Millisecond))
		if took := time.Since(killed); took > 30*time.Second {
			t.Errorf("the other took over after %v; a lease is 5 s", took)
		}
		begin(name)
	}

	// The target is down, and so is one of the servers.
	down.Store(true)
	servers.Kill(1)
	feed.touch(r, 0.5)
	s.write("feed.json", feed.bundle())
	await(t, patience, func() error {
		k := consumer(s.clusterStatus(t, "one"), "soc")
		if k.Health != bridge.Retrying || !strings.Contains(k.Error, "503") {
			return fmt.Errorf("status says %s %q", k.Health, k.Error)
		}
		return nil
	})
	down.Store(false)
	await(t, patience, current)
	servers.Start(1)
	time.Sleep(1500 * time.Millisecond) // at least one more read of the same bundle
	for _, p := range running {
		p.stop()
	}
	log := lines(t, s.must(0, "tap", "-c", s.path("one.yaml")).out)
	complete(t, log, g.got())
	ordered(t, g.got())
	singular(t, log)
	feed.holds(t, g.got())
	t.Logf("%d events, %d deliveries", len(log), len(g.got()))
	if n := len(lines(t, s.must(0, "get", "-c", filepath.Join(s.dir, "two.yaml"), feed.id(1)).out)); n != 1 {
		t.Errorf("get: %d assertions", n)
	}
}

// An instance that is stopped for longer than its lease, not killed, and wakes up after another has taken over: it publishes nothing and begins no
// delivery of what is out of date by then.
func TestInstanceThatWakesUpAfterItsLeaseDeliversNothingOutOfDate(t *testing.T) {
	t.Parallel() // it waits most of the time
	servers := testpeer.Cluster(t, 1)
	g := newTarget(t, func(int, []line, *http.Request) verdict { return verdict{wait: 5 * time.Millisecond} })
	s := newSite(t, "")
	s.data = "" // not ours
	feed := newCorpus("thing", 300)
	touch := func() {
		for i := range feed.rev {
			feed.rev[i]++
		}
		s.write("feed.json", feed.bundle())
	}
	s.write("feed.json", feed.bundle())
	for _, name := range []string{"one", "two"} {
		s.configureAll(fmt.Sprintf("nats: { url: %q, dir: DIR/%s, replicas: 1 }\nhttp: { listen: 'off' }\nproducers:\n  - { kind: stix, name: feed, path: DIR/feed.json, every: 1s }\nconsumers:\n"+
			"  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red, concurrency: 4, start: all }\n", servers.URL(), name, g.URL))
		s.write(name+".yaml", read1(t, s.path("stixbridge.yaml")))
	}
	more := func(n int) {
		t.Helper()
		before := len(g.got())
		await(t, patience, func() error {
			if len(g.got()) < before+n {
				return fmt.Errorf("%d deliveries", len(g.got())-before)
			}
			return nil
		})
	}
	one := s.startAs("", "run", "-c", s.path("one.yaml"))
	more(1)
	two := s.startAs("", "run", "-c", s.path("two.yaml"))
	await(t, patience, func() error { return standing(two) })
	touch()
	more(50)
	_ = one.cmd.Process.Signal(syscall.SIGSTOP)
	touch()
	current := func() error {
		held := state(g.got())
		for i, rev := range feed.rev {
			if !strings.Contains(string(held[feed.id(i)].Object), fmt.Sprintf(`"revision %d `, rev)) {
				return fmt.Errorf("%s is not current at the target", feed.id(i))
			}
		}
		return nil
	}
	await(t, patience, current)
	touch()
	await(t, patience, current)
	before := len(g.got())
	_ = one.cmd.Process.Signal(syscall.SIGCONT)
	await(t, patience, func() error {
		if text := read1(t, one.log); !strings.Contains(text, "lost its partitions") || !strings.Contains(text, "producer stopped") {
			return fmt.Errorf("it has not noticed: %s", tail(one.log))
		}
		return nil
	})
	touch() // brings also what a late request overwrote
	await(t, patience, current)
	two.stop()
	one.stop()
	log := lines(t, s.must(0, "tap", "-c", s.path("one.yaml")).out)
	t.Logf("%d events, %d deliveries, %d of them before it woke up", len(log), len(g.got()), before)
	complete(t, log, g.got())
	singular(t, log)
	// A request that was on its way when the process was stopped cannot be called back; none may begin.
	if late := stale(g.got()); len(late) > 4 {
		t.Errorf("%d events out of date were delivered, more than the 4 that can have been on their way:\n%s", len(late), strings.Join(late, "\n"))
	}
}

// standing reports whether an instance says in its log that it stands by with its consumer.
func standing(p *process) error {
	if p.ended() {
		return fmt.Errorf("it ended: %s", tail(p.log))
	}
	if !strings.Contains(tail(p.log), "standing by") {
		return fmt.Errorf("it does not stand by: %s", tail(p.log))
	}
	return nil
}

// clusterStatus is the status by an instance's configuration, or none.
func (s *site) clusterStatus(t testing.TB, name string) (st bridge.Status) {
	t.Helper()
	r := s.run("status", "--json", "-c", s.path(name+".yaml"))
	if r.code == 0 {
		if err := json.Unmarshal([]byte(r.out), &st); err != nil {
			t.Fatal(err)
		}
	}
	return st
}
