package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// A sink that is dead behind many events of few objects costs no memory, and the other sinks keep their pace.
func TestDeadSinkBehindManyEventsCostsNoMemoryAndNobodyElsesPace(t *testing.T) {
	const objects = 10_000
	versions, limit := 20, 300<<10 // limit in KiB
	if soak() > 0 {
		versions = 100
	}
	feed := newCorpus("thing", objects)
	for i := range feed.rev {
		feed.rev[i] = 1
	}
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		etag := fmt.Sprintf(`"%d"`, feed.rev[0])
		if r.Header.Get("If-None-Match") == etag { // it was read to its end
			if feed.rev[0] == versions {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			for i := range feed.rev { // another version of everything
				feed.rev[i]++
			}
			etag = fmt.Sprintf(`"%d"`, feed.rev[0])
		}
		w.Header().Set("ETag", etag)
		_, _ = io.WriteString(w, feed.bundle())
	}))
	defer source.Close()
	dead := newTarget(t, always(verdict{status: 503}))
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, url: %q, every: 1s }\nconsumers:\n"+
		"  - { kind: webhook, name: dead, url: %q, producers: ['*'], max_tlp: red, concurrency: 8 }\n"+
		"  - { kind: file, name: out, path: DIR/out.jsonl }\n", source.URL+"/feed.json", dead.URL))
	p := s.start()
	begun := time.Now()
	want := uint64(objects * versions)
	var most uint64 // lag of the living sink
	await(t, 20*time.Minute, func() error {
		if p.ended() {
			t.Fatalf("the bridge ended\n%s", tail(p.log))
		}
		st, err := s.status()
		if err != nil {
			return err
		}
		most = max(most, consumer(st, "out").Lag)
		if st.Log.LastSeq < want {
			time.Sleep(300 * time.Millisecond) // a look now and then is enough
			return fmt.Errorf("%d of %d events", st.Log.LastSeq, want)
		}
		return nil
	})
	filled := time.Now()
	await(t, patience, func() error {
		st, err := s.status()
		if k := consumer(st, "out"); err == nil && k.Lag > 0 {
			err = fmt.Errorf("the living sink is %d behind", k.Lag)
		}
		return err
	})
	behind := time.Since(filled)
	st, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	if k := consumer(st, "dead"); k.Lag != want || k.Dead != 0 || k.Delivered != 0 {
		t.Errorf("the dead sink: lag %d, %d dead letters, %d delivered", k.Lag, k.Dead, k.Delivered)
	}
	peak, now := resident(t, p)
	t.Logf("%d events in %v; resident: peak %d MiB, now %d MiB; the living sink was at most %d events behind and current %v after the last", want, filled.Sub(begun).Round(time.Second), peak>>10, now>>10, most, behind.Round(time.Millisecond))
	if peak > limit {
		t.Errorf("peak of %d MiB resident, want %d at most", peak>>10, limit>>10)
	}
	if behind > 10*time.Second {
		t.Errorf("the living sink was current %v after the last event", behind)
	}
	p.stop()
	got := read(t, s.path("out.jsonl"))
	if uint64(len(got)) != want {
		t.Errorf("the living sink has %d lines, want %d", len(got), want)
	}
	ordered(t, got)
	feed.holds(t, got)
}

// resident is the process's peak and present resident memory in KiB.
func resident(t testing.TB, p *process) (peak, now int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no /proc here: %v", err)
	}
	figure := func(name string) int {
		m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(b)
		if m == nil {
			t.Fatalf("no %s in %s", name, b)
		}
		n, _ := strconv.Atoi(string(m[1]))
		return n
	}
	return figure("VmHWM"), figure("VmRSS")
}
