package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// torrent is a source that has a new version of every object whenever it was read to its end, up to a number of versions.
type torrent struct {
	*httptest.Server
	mu       sync.Mutex
	feed     *corpus
	versions int
}

func newTorrent(t *testing.T, objects, versions int) *torrent {
	g := &torrent{feed: newCorpus("thing", objects), versions: versions}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if tag := fmt.Sprintf(`"%d"`, g.feed.rev[0]); r.Header.Get("If-None-Match") == tag {
			if g.feed.rev[0] >= g.versions {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			for i := range g.feed.rev {
				g.feed.rev[i]++
			}
		}
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, g.feed.rev[0]))
		_, _ = io.WriteString(w, g.feed.bundle())
	}))
	t.Cleanup(g.Close)
	return g
}

// A sink at 10 events a second behind a source at thousands: status and /healthz say that retention will overtake it while nothing is lost
// yet; memory stays bounded, and the other sink has everything. SOAK=1 is ten minutes of 10,000 events a second.
func TestSlowSinkIsForetoldToLoseDataBeforeItDoes(t *testing.T) {
	objects, versions, limit := 5_000, 60, 72<<20
	if soak() > 0 {
		objects, versions, limit = 10_000, 600, 3<<30
	}
	source := newTorrent(t, objects, versions)
	slow := newTarget(t, always(verdict{wait: 100 * time.Millisecond}))
	s := newSite(t, "")
	port := testpeer.Ports(t, 1)[0]
	s.configureAll(fmt.Sprintf("nats: { dir: DIR/data, listen: '127.0.0.1:0', max_bytes: %d }\nhttp: { listen: '127.0.0.1:%d' }\n"+
		"producers:\n  - { kind: stix, name: feed, url: %q, every: 1s }\nconsumers:\n"+
		"  - { kind: webhook, name: slow, url: %q, producers: ['*'], max_tlp: red }\n  - { kind: file, name: out, path: DIR/out.jsonl }\n",
		limit, port, source.URL+"/feed.json", slow.URL))
	p := s.start()
	begun := time.Now()
	var foretold, degraded, lost time.Duration
	await(t, 15*time.Minute, func() error {
		st, err := s.status()
		if err != nil {
			return err
		}
		k := consumer(st, "slow")
		if lost == 0 && k.Position+1 < st.Log.FirstSeq {
			lost = time.Since(begun)
		}
		if foretold == 0 && strings.Contains(strings.Join(st.Problems, "\n"), "consumer slow loses data in ") {
			foretold = time.Since(begun)
			t.Logf("%s, %d events behind: %s", foretold.Round(time.Second), k.Lag, st.Problems)
		}
		if r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", port)); err == nil {
			r.Body.Close()
			if degraded == 0 && r.StatusCode == http.StatusServiceUnavailable {
				degraded = time.Since(begun)
			}
		}
		if st.Log.LastSeq < uint64(objects*versions) && lost == 0 {
			time.Sleep(200 * time.Millisecond) // a look now and then is enough
			return fmt.Errorf("%d events", st.Log.LastSeq)
		}
		return nil
	})
	t.Logf("foretold after %v, /healthz degraded after %v, retention reached the position after %v", foretold.Round(time.Second), degraded.Round(time.Second), lost.Round(time.Second))
	if foretold == 0 || degraded == 0 || lost > 0 && (foretold >= lost || degraded >= lost) {
		t.Error("it was not foretold before it happened")
	}
	peak, _ := resident(t, p)
	t.Logf("resident memory at most %d MiB", peak>>10)
	if peak > 400<<10 {
		t.Errorf("resident memory of %d KiB", peak)
	}
	await(t, patience, func() error {
		st, err := s.status()
		if k := consumer(st, "out"); err == nil && k.Lag > uint64(2*objects) {
			err = fmt.Errorf("the other sink is %d behind", k.Lag)
		}
		return err
	})
	p.stop()
	ordered(t, read(t, s.path("out.jsonl")))
}

// With protect: true nothing is dropped before the slow sink has it: the source waits while the log is nearly full, and says so.
func TestProtectedSlowSinkMakesTheSourceWaitAndLosesNothing(t *testing.T) {
	const objects, versions, limit = 2_000, 20, 8 << 20
	source := newTorrent(t, objects, versions)
	var fast atomic.Bool
	slow := newTarget(t, func(int, []line, *http.Request) verdict {
		if fast.Load() {
			return verdict{}
		}
		return verdict{wait: 100 * time.Millisecond}
	})
	s := newSite(t, "")
	s.configureAll(fmt.Sprintf("nats: { dir: DIR/data, listen: '127.0.0.1:0', max_bytes: %d }\nhttp: { listen: 'off' }\n"+
		"producers:\n  - { kind: stix, name: feed, url: %q, every: 1s }\nconsumers:\n"+
		"  - { kind: webhook, name: slow, url: %q, producers: ['*'], max_tlp: red, protect: true, start: all }\n  - { kind: file, name: out, path: DIR/out.jsonl }\n",
		limit, source.URL+"/feed.json", slow.URL))
	p := s.start()
	whole := func() error {
		st, err := s.status()
		if err != nil {
			return err
		}
		if k := consumer(st, "slow"); k.Position+1 < st.Log.FirstSeq {
			t.Fatalf("the log begins at %d, the protected consumer has %d", st.Log.FirstSeq, k.Position)
		}
		if st.Log.Bytes > limit {
			t.Fatalf("the log holds %d bytes, its limit is %d", st.Log.Bytes, int(limit))
		}
		return nil
	}
	await(t, patience, func() error {
		if err := whole(); err != nil {
			return err
		}
		st, err := s.status()
		if err == nil && !strings.Contains(strings.Join(st.Problems, "\n"), "producers wait") {
			err = errors.New("no producer waits")
		}
		return err
	})
	fast.Store(true)
	await(t, 2*patience, func() error {
		if err := whole(); err != nil {
			return err
		}
		if n, want := len(slow.got()), objects*(versions+1); n < want {
			return fmt.Errorf("%d of %d events", n, want)
		}
		return nil
	})
	await(t, patience, func() error {
		st, err := s.status()
		if k := consumer(st, "out"); err == nil && k.Lag > 0 {
			err = fmt.Errorf("the other sink is %d behind", k.Lag)
		}
		return err
	})
	p.stop()
	got := read(t, s.path("out.jsonl"))
	complete(t, got, slow.got())
	ordered(t, got)
	source.feed.holds(t, got)
}
