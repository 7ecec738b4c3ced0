package web

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
)

func TestNumbersReadWell(t *testing.T) {
	for want, got := range map[string]string{
		"0": number(0), "999": number(999), "1,000": number(1000), "1,234,567": number(uint64(1_234_567)), "-1,234": number(-1234),
		"18,446,744,073,709,551,615": number(uint64(math.MaxUint64)),
		"1 event":                    count(1, "event", "events"), "0 events": count(0, "event", "events"), "1,200 events": count(uint64(1200), "event", "events"),
		"512 B": size(512), "1.5 KiB": size(1536), "40.0 GiB": size(40 << 30), "900 MiB": size(900 << 20), "2048 TiB": size(2 << 50),
		"0/s": rate(0), "<1/min": rate(0.01), "24/min": rate(0.4), "9.5/s": rate(9.49), "1,205/s": rate(1204.6),
		"under 1 s": span(0), "59 s": span(59 * time.Second), "1 min": span(time.Minute), "2 min 5 s": span(125 * time.Second), "17 min": span(17*time.Minute + 3*time.Second),
		"3 h 20 min": span(200 * time.Minute), "2 d 2 h": span(50 * time.Hour), "8 d": span(8 * 24 * time.Hour),
		"just now": ago(noon, noon.Add(time.Minute)), "2 s ago": ago(noon, noon.Add(-2*time.Second)), "now": until(noon, noon), "in 12 s": until(noon, noon.Add(12*time.Second)),
		"11:43:00 UTC": clock(noon, noon.Add(-17*time.Minute)), "2026-11-23 12:00 UTC": clock(noon, noon.Add(-24*time.Hour)),
		"–": value(nil), "yes": value(true), "3": value(3.0), "0.25": value(0.25), `["a"]`: value([]string{"a"}),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCurves(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name   string
		points []float64
		line   string
		max    float64
	}{
		{"nothing known draws nothing", []float64{nan, nan, nan}, "", 5},
		{"zero lies on the ground", []float64{0, 0, 0}, "M0 18.5L50 18.5L100 18.5", 5},
		{"the highest touches the top", []float64{0, 10, 5}, "M0 18.5L50 1.5L100 10", 10},
		{"small values stay low", []float64{1, 0, 1}, "M0 15.1L50 18.5L100 15.1", 5},
		{"an unknown span breaks the line", []float64{5, nan, 0}, "M0 1.5h0.01M100 18.5h0.01", 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := draw(tt.points, 100, 20, 5)
			if c.Line != tt.line || c.Max != tt.max || c.Known != (tt.line != "") {
				t.Errorf("%q to %v, want %q to %v", c.Line, c.Max, tt.line, tt.max)
			}
		})
	}
}

func TestTheHistoryForgetsAfterAnHour(t *testing.T) {
	h := newHistory()
	look := func(at time.Time, lag uint64) {
		h.add(snapshot{Status: bridge.Status{Consumers: []bridge.ConsumerStatus{{Name: "soc", Lag: lag}}}, At: at})
	}
	known := func(now time.Time) (n int, top float64) {
		for _, v := range h.last("lag soc", now, 60) {
			if !math.IsNaN(v) {
				n, top = n+1, max(top, v)
			}
		}
		return n, top
	}
	if n, _ := known(noon); n != 0 {
		t.Errorf("%d points before the first look", n)
	}
	look(noon, 100)
	look(noon.Add(30*time.Second), 40)
	if n, top := known(noon.Add(30 * time.Second)); n != 1 || top != 100 {
		t.Errorf("a minute shows its highest: %d points to %v", n, top)
	}
	look(noon.Add(30*time.Minute), 50)
	if n, top := known(noon.Add(59*time.Minute + 50*time.Second)); n != 2 || top != 100 {
		t.Errorf("after 59 minutes: %d points to %v", n, top)
	}
	if n, top := known(noon.Add(61 * time.Minute)); n != 1 || top != 50 {
		t.Errorf("after 61 minutes: %d points to %v", n, top)
	}
	h.add(snapshot{At: noon.Add(61 * time.Minute)})
	if n, _ := known(noon.Add(61 * time.Minute)); n != 0 {
		t.Errorf("a consumer that is gone leaves %d points", n)
	}
}

func TestALookIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{status: calm(noon)}
		s := newSnapshots(f, time.Now, func(snapshot) {})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := s.get(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if f.looks != 1 {
			t.Errorf("%d looks for 50 readers", f.looks)
		}
		time.Sleep(statusFresh)
		_, _ = s.get(t.Context())
		if f.looks != 2 {
			t.Errorf("%d looks, want a second one after a second", f.looks)
		}
	})
}

func TestAReaderWhoLeavesDoesNotSpoilTheLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		s := newSnapshots(slow{&fake{status: calm(noon)}, block}, time.Now, func(snapshot) {})
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := s.get(ctx); left <- err }()
		synctest.Wait()
		stayed := make(chan error, 1)
		go func() { _, err := s.get(t.Context()); stayed <- err }()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the one who left got %v", err)
		}
		close(block)
		if err := <-stayed; err != nil {
			t.Errorf("the one who stayed got %v", err)
		}
	})
}

// slow answers when its channel is closed.
type slow struct {
	*fake
	block chan struct{}
}

func (s slow) Status(ctx context.Context) (bridge.Status, error) {
	select {
	case <-ctx.Done():
		return bridge.Status{}, ctx.Err()
	case <-s.block:
		return s.fake.Status(ctx)
	}
}

func TestProblems(t *testing.T) {
	titles := func(s bridge.Status, degraded ...string) []string {
		out := []string{}
		for _, p := range problems(snapshot{Status: s, Degraded: degraded, At: noon}) {
			out = append(out, strings.TrimSpace(string(p.Level)+" "+p.Name+": "+p.Title))
		}
		return out
	}
	t.Run("a calm bridge has none", func(t *testing.T) {
		if got := titles(calm(noon)); len(got) != 0 {
			t.Error(got)
		}
	})
	t.Run("the urgent come first", func(t *testing.T) {
		want := []string{
			"bad soc: The target refuses us",
			"bad siem-long-name-for-the-phone: Too slow",
			"bad octi: The source's history has a gap",
			"warn octi: The source does not answer well",
			"warn : 14 dead letters wait for a decision",
			"warn : clock is 4 s ahead of the event log's server",
			"off tickets: Paused by an operator",
			"note : Positions without an owner: old-siem",
		}
		if diff := cmp.Diff(want, titles(troubled(noon))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("what the bridge says is shown once, at the name it mentions", func(t *testing.T) {
		s := troubled(noon)
		line := "soc: paused by the target for 17 min"
		got := problems(snapshot{Status: s, Degraded: []string{line, "clock is 4 s ahead of the event log's server"}, At: noon})
		if diff := cmp.Diff([]string{line}, got[0].Also); diff != "" || len(got) != 8 {
			t.Errorf("%d cards, %s", len(got), diff)
		}
	})
	t.Run("a reason to be degraded is never hidden", func(t *testing.T) {
		if got := titles(calm(noon), "event log: 2 of 3 replicas are behind"); !cmp.Equal(got, []string{"warn : event log: 2 of 3 replicas are behind"}) {
			t.Error(got)
		}
	})
	t.Run("a name inside another is not meant", func(t *testing.T) {
		if mentions("soc-2 is late", "soc") || mentions("associate", "soc") || !mentions(`consumer "soc": late`, "soc") || !mentions("soc", "soc") {
			t.Error("names are found wrongly")
		}
	})
	t.Run("a damaged log is urgent", func(t *testing.T) {
		s := calm(noon)
		s.Log.Missing = 3
		if got := titles(s); !cmp.Equal(got, []string{"bad : The event log is damaged"}) {
			t.Error(got)
		}
	})
	t.Run("a recovered gap is history", func(t *testing.T) {
		s := calm(noon)
		s.Producers[1].Gaps = []bridge.GapStatus{{Time: noon, Gap: bridge.Gap{Healed: true}}}
		if got := titles(s); len(got) != 0 {
			t.Error(got)
		}
	})
}

func TestEveryHealthWordHasItsLevelAndWhatIsWrongItsCard(t *testing.T) {
	for word, want := range map[string]level{bridge.Healthy: good, bridge.Idle: good, bridge.Starting: busy, bridge.Retrying: warn, bridge.Stopped: off,
		bridge.Refused: bad, bridge.Unhealthy: bad, bridge.Offline: warn, "invented later": note} {
		if got := levelOf(word); got != want {
			t.Errorf("%s is %s, want %s", word, got, want)
		}
		c, isProblem := consumerProblem(bridge.ConsumerStatus{Name: "soc", Health: word}, noon)
		p, isProblemToo := producerProblem(bridge.ProducerStatus{Name: "octi", Health: word})
		wrong := word == bridge.Stopped || want == warn || want == bad
		if isProblem != wrong || isProblemToo != wrong || (wrong && (c.Title == "" || c.Do == "" || p.Title == "" || p.Do == "")) {
			t.Errorf("%s: consumer %+v, producer %+v", word, c, p)
		}
	}
}
