package delivery

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// panicked is the error of a plugin that panicked.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("the plugin panicked: %v", p.value) }

// verdict is what a call means for one of its events.
type verdict struct {
	err    error  // nil: it arrived
	reason string // of a letter; empty with an error: try again
}

// answers spreads the error of a call over the events of its batch. whole: it is one error for the batch as such.
func answers(err error, n int) (errs []error, whole bool) {
	errs = make([]error, n)
	if err == nil {
		return errs, false
	}
	var some *bridge.BatchError
	if errors.As(err, &some) {
		outside := false
		for i, e := range some.Failed {
			switch {
			case i < 0 || i >= n:
				outside = true
			case e == nil:
				errs[i] = errors.New("the plugin named no error")
			default:
				errs[i] = e
			}
		}
		if !outside && len(some.Failed) > 0 {
			return errs, false
		}
		err = fmt.Errorf("the plugin named events that are not in the batch: %w", err)
	}
	for i := range errs {
		errs[i] = err
	}
	return errs, true
}

// judge decides what the answers mean for each event, and for the whole target.
func (s *sched) judge(batch []*item, errs []error, whole bool, began, now time.Time) []verdict {
	out := make([]verdict, len(batch))
	n := len(batch)
	arrivals, plain := 0, 0
	var first, refusal error
	for i, it := range batch {
		it.tries++
		err := errs[i]
		out[i].err = err
		if err == nil {
			arrivals++
			continue
		}
		if first == nil {
			first = err
		}
		wait, asked := bridge.Wait(err)
		switch {
		case bridge.IsPaused(err):
			refusal = err
			s.suspect(it, 0, now)
		case asked:
			s.temper.rest(now, min(max(wait, firstWait), time.Hour), err)
			s.suspect(it, 0, now)
		case bridge.IsPermanent(err) || errors.As(err, new(panicked)):
			if whole && n > 1 { // which of them it means is not known: halve at once
				s.suspect(it, max(1, n/2), now)
				continue
			}
			out[i].reason = ReasonPermanent
			if errors.As(err, new(panicked)) {
				out[i].reason = ReasonPanic
			}
		default:
			plain++
			if !it.failed {
				it.failed, it.born = true, s.temper.proof
			}
			if n > 1 {
				s.suspect(it, max(1, n/2), now.Add(backoff(1)))
				continue
			}
			if it.alone == 0 || s.temper.proof > it.proof || it.vouch {
				it.alone++
				it.proof = s.temper.proof
			}
			it.vouch = false
			if it.alone >= poisonAfter {
				out[i].reason = ReasonPoison
				continue
			}
			s.suspect(it, 1, now.Add(backoff(it.alone)))
		}
	}
	if arrivals > 0 {
		if s.temper.success(arrivals) {
			s.acquit()
		}
	} else if plain > 0 {
		s.temper.failure(began, now, first)
	}
	if refusal != nil {
		s.temper.refuse(now, refusal)
	} else if s.temper.refused && !s.temper.leave.After(now) {
		s.temper.refused, s.temper.refusals = false, 0 // it talks to us again
	}
	if first != nil {
		s.temper.note(now, first)
	}
	if len(s.suspects) == 0 && refusal == nil && !slices.ContainsFunc(out, verdict.again) {
		s.temper.clear() // what failed became letters: nothing waits for the target any more
	}
	return out
}

// again reports whether the event is tried again.
func (v verdict) again() bool { return v.err != nil && v.reason == "" }

// lonely reports whether an item fails while nothing else is there to show that the target is well, although others arrived since it first
// failed: then a probe may vouch for the target.
func (s *sched) lonely(it *item) bool {
	return it.alone > 0 && it.aside == nil && s.temper.proof > it.born && s.running == 1 && s.inflight <= 1 && len(s.suspects)+len(s.fresh)+len(s.side) == 0
}

// suspect notes what the next batch of an item may be; limit 0 leaves it as it is.
func (s *sched) suspect(it *item, limit int, due time.Time) {
	if limit > 0 {
		it.limit = limit
	}
	it.due = due
}

// acquit lets all but the events that failed alone start afresh: the target was down, they are not to blame.
func (s *sched) acquit() {
	for _, all := range [][]*item{s.suspects, s.fresh, s.side} { // an ordered target's suspects stay in their place
		for _, it := range all {
			if it.limit > 0 && it.alone == 0 {
				it.limit = s.batch.events
			}
			it.due = time.Time{}
		}
	}
}
