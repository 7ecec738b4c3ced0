package delivery

import (
	"cmp"
	"slices"
	"time"
)

// take returns the next batch in log order, each object at most once, or nothing and, when only time is missing, when to ask again.
func (s *sched) take(now time.Time) (batch []*item, again time.Time) {
	if wait := s.temper.wait(now, s.running, len(s.suspects) <= fewSuspects && len(s.fresh)+len(s.side) > 0 && !s.ordered); !wait.IsZero() {
		return nil, wait
	}
	if s.temper.outage() && s.running > 0 {
		return nil, time.Time{}
	}
	for range 3 {
		switch s.turn = (s.turn + 1) % 3; {
		case s.turn == 0:
			batch, again = s.gather(&s.fresh, now, s.ordered, again)
		case s.turn == 1:
			batch, again = s.gather(&s.side, now, false, again)
		case s.turn == 2 && s.temper.outage() && len(s.fresh)+len(s.side) > 0: // whoever was not tried yet goes first
		case s.turn == 2:
			batch, again = s.accuse(now, again)
		}
		if len(batch) > 0 {
			break
		}
	}
	if len(batch) == 0 {
		return nil, again
	}
	s.calls++
	s.running++
	s.inflight += len(batch)
	for _, it := range batch {
		it.lane.ready, it.lane.busy = false, true
		it.called = s.calls
	}
	return batch, time.Time{}
}

// gatherAny makes a batch that serves as the probe of a target that refused us.
func (s *sched) gatherAny(now time.Time) ([]*item, time.Time) {
	s.temper.refused = false
	batch, again := s.take(now)
	s.temper.refused = true // until its answer is known
	return batch, again
}

// gather takes items off a heap in order, as far as the bounds of the batch and of each item allow.
func (s *sched) gather(h *heap, now time.Time, strict bool, again time.Time) ([]*item, time.Time) {
	var batch []*item
	limit, bytes := s.batch.events, 0
	var next uint64
	if strict {
		low := s.floors.lowest()
		if low == nil {
			return nil, again
		}
		next = low.nth
	}
	for it := h.top(); it != nil; it = h.top() {
		most := limit
		if it.limit > 0 {
			most = min(most, it.limit)
		}
		if len(batch) >= most || (len(batch) > 0 && bytes+it.size > s.batch.bytes) || (strict && it.nth != next) {
			break
		}
		if it.due.After(now) && !s.temper.outage() {
			again = earlier(again, it.due)
			break
		}
		if batch == nil {
			batch = make([]*item, 0, min(most, len(*h)))
		}
		limit, bytes, next = most, bytes+it.size, next+1
		batch = append(batch, h.pop())
	}
	return batch, again
}

// accuse makes a batch of suspects, the least recently tried first, so that the innocent prove themselves and the guilty end alone.
func (s *sched) accuse(now time.Time, again time.Time) ([]*item, time.Time) {
	slices.SortFunc(s.suspects, func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.called, b.called), cmp.Compare(a.seq, b.seq))
	})
	var batch []*item
	limit, bytes := s.batch.events, 0
	rest := s.suspects[:0]
	for i, it := range s.suspects {
		most := min(limit, it.limit)
		switch {
		case it.due.After(now) && !s.temper.outage():
			again = earlier(again, it.due)
			rest = append(rest, it)
		case len(batch) >= most || (len(batch) > 0 && bytes+it.size > s.batch.bytes):
			rest = append(rest, s.suspects[i])
		default:
			batch = append(batch, it)
			limit, bytes = most, bytes+it.size
		}
	}
	clear(s.suspects[len(rest):])
	s.suspects = rest
	slices.SortFunc(batch, func(a, b *item) int { return cmp.Compare(a.seq, b.seq) })
	return batch, again
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
