package delivery

import (
	"math/rand/v2"
	"time"
)

const (
	firstWait   = 250 * time.Millisecond
	longestWait = 30 * time.Second
	outageAfter = 3 // failed calls in a row
	fewSuspects = 2 // with no more than these, an outage is not believed: a new event may be tried at once
	poisonAfter = 8 // failures alone
)

// temper is what the runner makes of the target's answers: whether it is well, down, busy or refuses us.
type temper struct {
	streak   int       // failed calls since anything arrived
	rounds   int       // of them, those that began after the one before had failed
	failed   time.Time // when the last of them ended
	quiet    time.Time // outage: no call before
	leave    time.Time // the target asked to be left alone until then, or our own parts fail
	refused  bool      // 401, 403
	refusals int
	proof    uint64 // events that arrived
	text     string // the last error
	since    time.Time
}

// outage reports whether every recent call failed: then events are not to blame.
func (t *temper) outage() bool { return t.streak >= outageAfter }

// wait returns until when no call may begin, or zero. few: an outage may be one event's fault, and there are others to try.
func (t *temper) wait(now time.Time, running int, few bool) time.Time {
	switch {
	case t.leave.After(now):
		return t.leave
	case t.refused:
		return later(now, t.quiet)
	case t.outage() && t.quiet.After(now) && !(few && running == 0):
		return t.quiet
	}
	return time.Time{}
}

// next is when the next call may begin, for status; zero: now.
func (t *temper) next(now time.Time) time.Time {
	if w := later(t.leave, t.quiet); w.After(now) && (t.refused || t.outage() || t.leave.After(now)) {
		return w
	}
	return time.Time{}
}

// success notes that events arrived; it reports whether that ended an outage.
func (t *temper) success(events int) (recovered bool) {
	recovered = t.outage()
	t.proof += uint64(events)
	t.streak, t.rounds, t.refusals, t.refused = 0, 0, 0, false
	t.quiet = time.Time{}
	return recovered
}

// clear forgets failures that nothing is left of.
func (t *temper) clear() {
	t.streak, t.rounds, t.text = 0, 0, ""
	t.quiet = time.Time{}
}

// failure notes a call in which nothing arrived.
func (t *temper) failure(began, now time.Time, err error) {
	t.note(now, err)
	if t.refused { // it was: now it fails otherwise
		t.refused, t.refusals = false, 0
	}
	t.streak++
	if !began.Before(t.failed) {
		t.rounds++
	}
	t.failed = now
	if t.outage() {
		t.quiet = now.Add(backoff(t.rounds))
	}
}

// refuse notes that the target does not accept us.
func (t *temper) refuse(now time.Time, err error) {
	t.note(now, err)
	t.refused = true
	t.refusals++
	t.quiet = now.Add(backoff(t.refusals + 1))
}

// rest notes that the target is to be left alone for a while.
func (t *temper) rest(now time.Time, d time.Duration, err error) {
	t.note(now, err)
	t.leave = later(t.leave, now.Add(d))
}

func (t *temper) note(now time.Time, err error) {
	if t.text == "" {
		t.since = now
	}
	if err != nil {
		t.text = err.Error()
	}
}

// backoff is the wait after the nth failure: doubling, capped, jittered by a fifth.
func backoff(n int) time.Duration {
	d := longestWait
	if n < 8 {
		d = firstWait << max(n-1, 0)
	}
	d = min(d, longestWait)
	return d - time.Duration(rand.Int64N(int64(d)/5))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
