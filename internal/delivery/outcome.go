package delivery

import (
	"cmp"
	"slices"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// counters of a runner; the runner's lock guards them.
type counters struct {
	delivered, retracted, retries, dead, calls, missing, lost, broken uint64
	brokenText                                                        string
	lostAt, arrivedAt                                                 time.Time
	held                                                              map[string]uint64
	rate                                                              meter
	health                                                            string
	since                                                             time.Time
}

func (c *counters) hold(gate string) {
	if c.held == nil {
		c.held = map[string]uint64{}
	}
	c.held[gate]++
}

func (c *counters) arrive(e bridge.Event) {
	c.delivered++
	if e.Op == bridge.Retract {
		c.retracted++
	}
}

func (c *counters) call(now time.Time, events int, errs []error) {
	c.calls++
	good := 0
	for _, err := range errs {
		if err == nil {
			good++
		} else {
			c.retries++
		}
	}
	if good > 0 {
		c.arrivedAt = now
		c.rate.add(now, good)
	}
}

func call(events []bridge.Event, errs []error, took time.Duration) Call {
	c := Call{Events: len(events), Took: took}
	for _, err := range errs {
		if err != nil {
			c.Failed++
			c.Err = cmp.Or(c.Err, err)
		}
	}
	return c
}

// meter counts what happened in the last minute, in steps of five seconds.
type meter struct {
	step [13]int64
	n    [13]int
}

const meterStep = 5

func (m *meter) add(now time.Time, n int) {
	s := now.Unix() / meterStep
	i := s % int64(len(m.step))
	if m.step[i] != s {
		m.step[i], m.n[i] = s, 0
	}
	m.n[i] += n
}

// rate is events a second over the last minute.
func (m *meter) rate(now time.Time) float64 {
	s := now.Unix() / meterStep
	sum := 0
	for i := range m.step {
		if m.step[i] > s-60/meterStep && m.step[i] <= s {
			sum += m.n[i]
		}
	}
	return float64(sum) / 60
}

// own reports whether whoever brought the item keeps the letter, so that no second one is made.
func (a *aside) own() bool { return a != nil && a.letter }

// endings are how asides ended, to be told when no lock is held.
type endings []func()

func (es *endings) add(a *aside, e ending) {
	if a.done != nil {
		*es = append(*es, func() { a.done(e) })
	}
}

func (es endings) tell() {
	for _, tell := range es {
		tell()
	}
}

// sortBySeq puts a batch that holds asides in log order.
func sortBySeq(items []*item, events []bridge.Event) {
	at := make([]int, len(items))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int { return cmp.Compare(events[a].Seq, events[b].Seq) })
	i2, e2 := slices.Clone(items), slices.Clone(events)
	for to, from := range at {
		items[to], events[to] = i2[from], e2[from]
	}
}
