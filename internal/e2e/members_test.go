package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// crowd is a consumer that several processes deliver to, and a source that keeps changing.
type crowd struct {
	*site
	feed    *corpus
	open    *target // takes whatever comes
	exact   *target // takes nothing older than what it holds of an object
	members map[string]*process
	born    int
}

// newCrowd starts the server, the producer in a process of its own, and no member yet. Each target takes its time over an event.
func newCrowd(t *testing.T, objects, concurrency int, wait time.Duration) *crowd {
	c := &crowd{site: newSite(t, ""), feed: newCorpus("thing", objects), members: map[string]*process{}}
	c.open = newTarget(t, always(verdict{wait: wait}))
	var mu sync.Mutex
	newest := map[string]uint64{}
	c.exact = newTarget(t, func(_ int, events []line, r *http.Request) verdict {
		mu.Lock()
		defer mu.Unlock()
		seq, _ := strconv.ParseUint(r.Header.Get("Stixbridge-Seq"), 10, 64)
		if len(events) == 1 && seq < newest[events[0].ID] {
			return verdict{status: http.StatusAlreadyReported, wait: wait, body: "older than what is held"}
		}
		for _, e := range events {
			newest[e.ID] = seq
		}
		return verdict{wait: wait}
	})
	c.data = "" // not ours
	c.change(rand.New(rand.NewPCG(1, 1)), 0)
	servers := testpeer.Cluster(t, 1)
	c.configureAll(fmt.Sprintf("nats: { url: %q, dir: DIR/feed, replicas: 1 }\nhttp: { listen: 'off' }\nproducers:\n  - { kind: stix, name: feed, path: DIR/feed.json, every: 1s }\nconsumers:\n"+
		"  - { kind: webhook, name: open, url: %q, producers: ['*'], max_tlp: red, concurrency: %d, start: all }\n"+
		"  - { kind: webhook, name: exact, url: %q, producers: ['*'], max_tlp: red, concurrency: %d, start: all }\n", servers.URL(), c.open.URL, concurrency, c.exact.URL, concurrency))
	c.startAs("", "run", "--only", "feed")
	return c
}

func (c *crowd) change(r *rand.Rand, share float64) {
	c.feed.touch(r, share)
	c.write("feed.json", c.feed.bundle())
}

// join starts a member. Its directory is its own.
func (c *crowd) join() string {
	c.born++
	name := fmt.Sprintf("m%d", c.born)
	c.members[name] = c.startAs("", "run", "--only", "open,exact")
	return name
}

// current reports whether a target holds what the source has.
func (c *crowd) current(got []line) error {
	held := state(got)
	for i, rev := range c.feed.rev {
		if want := fmt.Sprintf(`"revision %d `, rev); !strings.Contains(string(held[c.feed.id(i)].Object), want) {
			return fmt.Errorf("%s is not current at the target", c.feed.id(i))
		}
	}
	return nil
}

// A seeded schedule of members that come, leave, are killed, or sleep beyond their lease and wake up, while the source changes.
func TestMembersKeepTheOrderWhateverBecomesOfThem(t *testing.T) {
	runs := max(2, soak())
	for n := range runs {
		t.Run(fmt.Sprint("schedule ", n+1), func(t *testing.T) {
			t.Parallel()
			schedule(t, seed(t)+uint64(n))
		})
	}
}

func schedule(t *testing.T, seed uint64) {
	const concurrency = 2
	r := rand.New(rand.NewPCG(seed, 5))
	c := newCrowd(t, 300, concurrency, 3*time.Millisecond)
	var stopped atomic.Int32
	var sleepers sync.WaitGroup
	asleep := map[string]bool{}
	awake := func() (names []string) {
		for n := range c.born {
			name := fmt.Sprintf("m%d", n+1)
			if c.members[name] != nil && !asleep[name] {
				names = append(names, name)
			}
		}
		return names
	}
	c.join()
	c.join()
	for range 9 {
		c.change(r, 0.3)
		time.Sleep(time.Duration(300+r.IntN(900)) * time.Millisecond)
		names := awake()
		one := names[r.IntN(len(names))]
		switch action := r.IntN(5); {
		case len(names) < 2 || action == 0 && len(names) < 5:
			t.Logf("%s joins", c.join())
		case action == 1:
			t.Logf("%s leaves", one)
			c.members[one].stop()
			delete(c.members, one)
		case action == 2:
			t.Logf("%s is killed", one)
			c.members[one].kill()
			delete(c.members, one)
		case stopped.Load() < 3:
			t.Logf("%s sleeps", one)
			p := c.members[one]
			asleep[one] = true
			stopped.Add(1)
			_ = p.cmd.Process.Signal(syscall.SIGSTOP)
			sleep := 5500*time.Millisecond + time.Duration(r.IntN(2500))*time.Millisecond
			sleepers.Go(func() {
				time.Sleep(sleep)
				_ = p.cmd.Process.Signal(syscall.SIGCONT)
			})
		}
	}
	c.change(r, 0.3)
	sleepers.Wait()
	await(t, patience, func() error { return c.current(c.open.got()) })
	c.change(r, 0.5) // brings also what a late call overwrote
	await(t, patience, func() error { return c.current(c.open.got()) })
	await(t, patience, func() error { return c.current(c.exact.got()) })
	for _, p := range c.members {
		p.stop()
	}
	log := lines(t, c.must(0, "tap").out)
	singular(t, log)
	got := c.open.got()
	complete(t, log, got)
	c.feed.holds(t, got)
	late, most := stale(got), concurrency*int(stopped.Load())
	t.Logf("%d events, %d deliveries, %d of them late after %d pauses", len(log), len(got), len(late), stopped.Load())
	if len(late) > most {
		t.Errorf("%d older after newer, at most %d calls can have been on their way:\n%s", len(late), most, late)
	}
	ordered(t, c.exact.got())
	c.feed.holds(t, c.exact.got())
}

// Partitions that a member gives up in good order are another's within 300 ms: nobody waits for a lease.
func TestMemberThatLeavesHandsOverAtOnce(t *testing.T) {
	c := newCrowd(t, 200, 2, time.Millisecond)
	first := c.join()
	await(t, patience, func() error { return c.current(c.open.got()) })
	second := c.join()
	r := rand.New(rand.NewPCG(seed(t), 8))
	await(t, patience, func() error { // both deliver
		c.change(r, 0.1)
		k := consumer(c.clusterStatus(t, "stixbridge"), "open")
		if k.Members != 2 {
			return fmt.Errorf("%d members", k.Members)
		}
		return nil
	})
	c.change(r, 1)
	told := time.Now()
	c.members[first].stop()
	t.Logf("the first ended %v after it was told", time.Since(told).Round(time.Millisecond))
	var took time.Duration
	await(t, patience, func() error {
		for l := range strings.Lines(read1(t, c.members[second].log)) {
			var said struct {
				Time     time.Time
				Msg      string
				Consumer string
				Members  int
			}
			if json.Unmarshal([]byte(l), &said) == nil && said.Msg == "delivers" && said.Consumer == "open" && said.Members == 1 && said.Time.After(told) {
				took = said.Time.Sub(told)
				return nil
			}
		}
		return errors.New("the second has not taken over")
	})
	t.Logf("the second delivers everything %v after the first was told to stop", took.Round(time.Millisecond))
	if took > 4*time.Second { // generous: the machine may be busy; less than the lease
		t.Errorf("it took %v", took)
	}
	await(t, patience, func() error { return c.current(c.open.got()) })
	ordered(t, c.open.got())
}

// A replay and the redrive of a letter are carried out by the members together: each object once, in its lane.
func TestMembersCarryOutAReplayTogether(t *testing.T) {
	c := newCrowd(t, 400, 2, time.Millisecond)
	c.join()
	c.join()
	c.join()
	await(t, patience, func() error { return c.current(c.open.got()) })
	await(t, patience, func() error {
		if k := consumer(c.clusterStatus(t, "stixbridge"), "open"); k.Members != 3 {
			return fmt.Errorf("%d members", k.Members)
		}
		return nil
	})
	before := len(c.open.got())
	r := c.must(0, "replay", "open", "--from-seq", "1", "--to-seq", "400")
	got := c.open.got()[before:]
	if len(got) != 400 || len(state(got)) != 400 {
		t.Errorf("the replay brought %d events of %d objects, want 400 of each\n%s", len(got), len(state(got)), r)
	}
	ordered(t, c.open.got())
}
