package engine

import (
	"fmt"
	"math"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// forecast says when retention reaches what a consumer has not dealt with.
type forecast struct {
	log    bridge.LogStatus
	growth float64 // events a second that the log takes in now
	maxAge time.Duration
}

func (e *Engine) forecast(log bridge.LogStatus) forecast {
	return forecast{log: log, growth: e.growth.perSecond(), maxAge: time.Duration(e.cfg.Config.NATS.MaxAge)}
}

const (
	// alarming is when a forecast becomes a problem that degrades health: while there is time to do something.
	alarming = 7 * 24 * time.Hour
	// observed is the least history that a forecast needs, and farsight how many times its history it may look ahead: a first import of
	// some seconds says nothing about next week.
	observed = 20 * time.Second
	farsight = 100
)

// overtaken is in how many seconds the consumer loses data if everything goes on as in the last minute; 0: not in sight.
func (f forecast) overtaken(c bridge.ConsumerStatus) float64 {
	history := f.log.Newest.Sub(f.log.Oldest).Seconds()
	if c.Lag == 0 || f.log.Events == 0 || history < observed.Seconds() {
		return 0
	}
	t := min(f.bySize(c), f.byAge(c))
	if t > farsight*history {
		return 0
	}
	return max(t, 1)
}

// bySize: when the log is full, its first event moves on as fast as the log grows.
func (f forecast) bySize(c bridge.ConsumerStatus) float64 {
	pace := f.growth - c.Rate
	if f.log.MaxBytes <= 0 || f.log.Bytes == 0 || pace <= 0 {
		return math.Inf(1)
	}
	room := (float64(f.log.MaxBytes) - float64(f.log.Bytes)) / (float64(f.log.Bytes) / float64(f.log.Events)) // events until the first one is dropped
	ahead := float64(c.Position) + 1 - float64(f.log.FirstSeq)                                                // events that may be dropped before the consumer's next
	return max(room+ahead, 0) / pace
}

// byAge: the oldest event that is not dealt with leaves at max_age; it grows older by less than a second each second when the consumer
// comes nearer to the present.
func (f forecast) byAge(c bridge.ConsumerStatus) float64 {
	if f.maxAge <= 0 || c.OldestAge <= 0 {
		return math.Inf(1)
	}
	aging := 1 - c.Rate*c.OldestAge/float64(c.Lag)
	if aging <= 0 {
		return math.Inf(1)
	}
	return max(f.maxAge.Seconds()-c.OldestAge, 0) / aging
}

// days writes seconds as a person says them: 3 d 4 h, 2 h 10 min, 40 s.
func days(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
