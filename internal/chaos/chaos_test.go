package chaos

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// TestChaos runs the lab: each fault once, in an order that SEED decides, or again and again for as long as CHAOS says (30m). While it
// runs, every fault must be named by somebody; afterwards everything must be accounted for.
func TestChaos(t *testing.T) {
	t.Parallel()
	if os.Getenv("LAB") == "" {
		t.Skip("SKIPPED, NOT TESTED: the fault lab has an open finding (docs/reliability.md, what is not as it should be); make chaos runs it")
	}
	seed, span := uint64(1), time.Duration(0)
	if text := os.Getenv("CHAOS"); text != "" {
		var err error
		if span, err = time.ParseDuration(text); err != nil {
			t.Fatalf("CHAOS: %v", err)
		}
		seed = uint64(time.Now().UnixNano() % 1e6)
	}
	if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = n
	}
	bridges := 2
	if n, err := strconv.Atoi(os.Getenv("BRIDGES")); err == nil {
		bridges = n
	}
	t.Logf("seed %d, %d bridges; the same faults again: make chaos SEED=%d", seed, bridges, seed)
	l := newLab(t, seed, bridges)
	failed := func(err error) { t.Error(err) }
	stopFeed := keep(700*time.Millisecond, l.feed.change, failed)
	stopLive := keep(300*time.Millisecond, l.live.change, failed)
	defer stopFeed()
	defer stopLive()
	l.say("everything runs")

	var all sync.WaitGroup
	end := time.Now().Add(span)
	for track := range tracks {
		var names []string
		by := map[string]fault{}
		for _, f := range l.faults() {
			if f.track == track {
				names = append(names, f.name)
				by[f.name] = f
			}
		}
		all.Go(func() {
			deck := NewDeck(seed, uint64(track), names)
			for n := 0; n < len(names) || time.Now().Before(end); n++ {
				s := deck.Next()
				l.play(by[s.Fault], s)
			}
		})
	}
	all.Wait()
	stopFeed()
	stopLive()
	l.say("no more faults, no more changes")
	if err := l.settle(); err != nil {
		t.Errorf("NOT AT REST: %v", err)
	}
	l.say("at rest")
	for _, b := range l.bridges {
		if code, err := b.stop(patience); code != 0 || err != nil {
			t.Errorf("%s after SIGTERM: exit code %d, %v\n%s", b.name, code, err, lastLine(b.log))
		}
	}
	run, err := l.history()
	if err != nil {
		t.Fatal(err)
	}
	report := Check(run)
	t.Logf("\n%s", l.table())
	t.Logf("\n%s", report.Table())
	l.resources()
	if len(report.Findings) > 0 {
		t.Errorf("%d findings:\n%s", len(report.Findings), report.Summary())
	}
	if !t.Failed() {
		t.Logf("PASS: seed %d: %d faults, %d events", seed, len(l.record), len(run.Log))
	}
}

// table is what came of the faults.
func (l *lab) table() string {
	type row struct {
		n           int
		by          map[string]bool
		after, long time.Duration
	}
	rows := map[string]*row{}
	for _, r := range l.record {
		k := rows[r.fault]
		if k == nil {
			k = &row{by: map[string]bool{}}
			rows[r.fault] = k
		}
		k.n++
		k.by[r.by] = true
		k.after, k.long = max(k.after, r.after), max(k.long, r.lasted)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "fault\ttimes\tnamed by\tafter at most\tlasted at most")
	names := make([]string, 0, len(rows))
	for name := range rows {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		k := rows[name]
		var by []string
		for s := range k.by {
			by = append(by, cmp.Or(s, "NOBODY"))
		}
		slices.Sort(by)
		fmt.Fprintf(w, "%s\t%d\t%s\t%.1fs\t%.1fs\n", name, k.n, strings.Join(by, ", "), k.after.Seconds(), k.long.Seconds())
	}
	_ = w.Flush()
	return b.String()
}

// resources checks the bridges' memory and how their processes ended.
func (l *lab) resources() {
	for _, b := range l.bridges {
		b.mu.Lock()
		l.t.Logf("%s: %d processes, %d of them ended by themselves, at most %d MiB resident", b.name, b.starts, len(b.ends), b.peak>>10)
		for _, end := range b.ends {
			l.t.Logf("  %s", end)
		}
		if b.peak > memory {
			l.t.Errorf("%s had %d MiB resident, want %d at most", b.name, b.peak>>10, memory>>10)
		}
		if mentionsPanic(b.log) {
			l.t.Errorf("%s panicked; see %s", b.name, b.log)
		}
		b.mu.Unlock()
	}
}
