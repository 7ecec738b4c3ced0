package delivery

import (
	"cmp"
	"slices"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// sched decides what goes to the target next. It has no clock, no lock and no goroutine of its own: the runner lends it those.
type sched struct {
	lanes   *lanes
	floors  *floors
	temper  temper
	ordered bool // strictly log order
	window  bounds
	batch   bounds

	fresh    heap    // live items, nothing against them; of an ordered target all live items
	side     heap    // items that did not come from the live reader
	suspects []*item // items of failed calls
	parked   heap    // asides that wait for the live reader
	turn     int
	heavy    int // live items that are not dealt with and hold their event
	bytes    int // of items that are not dealt with
	nth      uint64
	sides    uint64 // asides so far: their order among themselves
	calls    uint64 // of the target, so far
	inflight int    // items with workers
	running  int    // batches with workers
	spare    []*item
	touched  bool
}

type bounds struct{ events, bytes int }

func newSched(partitions int, ordered bool, window, batch bounds) *sched {
	return &sched{lanes: newLanes(partitions), floors: newFloors(partitions), ordered: ordered, window: window, batch: batch}
}

// A lane that piles up keeps its first events in memory, the others by sequence only: one object that cannot be delivered must not
// fill the window, or nothing else could be tried and show that it is this object's fault.
const (
	laneKeeps  = 8
	lightTimes = 8 // events of any kind above the lowest floor, in windows
)

// full reports whether the reader must wait.
func (s *sched) full() bool {
	return s.heavy >= s.window.events || s.floors.count >= lightTimes*s.window.events || (s.bytes >= s.window.bytes && s.floors.count > 0)
}

// blank returns an empty item.
func (s *sched) blank() *item {
	if n := len(s.spare); n > 0 {
		it := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return it
	}
	return &item{}
}

func (s *sched) free(it *item) {
	*it = item{}
	if len(s.spare) < s.window.events {
		s.spare = append(s.spare, it)
	}
}

// admit takes in the next event of the live reader. It reports whether it can be taken at once.
func (s *sched) admit(id string, it *item) bool {
	s.nth++
	it.nth = s.nth
	s.floors.add(it)
	s.floors.read = it.seq
	ln := s.lanes.add(id, it)
	if ln.n > laneKeeps {
		it.light, it.size = true, overhead
		it.event = bridge.Event{Seq: it.event.Seq, Time: it.event.Time}
	} else {
		s.heavy++
	}
	s.bytes += it.size
	return s.queue(ln)
}

// inject takes in an item beside the live reader.
func (s *sched) inject(id string, it *item) bool {
	s.sides++
	it.seq = s.sides
	s.bytes += it.size
	return s.queue(s.lanes.add(id, it))
}

// queue puts a lane's head where take finds it, if it may go.
func (s *sched) queue(ln *lane) bool {
	if !s.lanes.offer(ln) {
		return false
	}
	switch it := ln.head; {
	case it.aside != nil && (s.ordered || it.limit == 0):
		s.side.push(it)
	case it.limit > 0 && !s.ordered:
		s.suspects = append(s.suspects, it)
	default:
		s.fresh.push(it)
	}
	return true
}

// passed tells that the reader has seen everything up to seq; parked items come back.
func (s *sched) passed(seq uint64) (ready bool) {
	s.floors.read = max(s.floors.read, seq)
	for it := s.parked.top(); it != nil && it.seq <= s.floors.read; it = s.parked.top() {
		s.parked.pop()
		s.sides++
		it.seq = s.sides
		ready = s.queue(s.lanes.add(it.lane.id, it)) || ready
	}
	return ready
}

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

// settle ends an item: delivered, held back or in the dead letters. It reports whether it made another ready.
func (s *sched) settle(it *item) (ready bool) {
	ln := it.lane
	s.bytes -= it.size
	s.inflight--
	s.lanes.pop(ln)
	if ln.head != nil {
		ready = s.queue(ln)
	}
	if it.aside != nil {
		s.free(it)
		return ready
	}
	s.touched = true
	if !it.light {
		s.heavy--
	}
	it.event, it.lane, it.next = bridge.Event{}, nil, nil
	s.floors.settle(it, s.free)
	return ready
}

// back returns an item that a worker could not deliver to the queues.
func (s *sched) back(it *item) (ready bool) {
	s.inflight--
	it.lane.busy = false
	return s.queue(it.lane)
}

// rotate moves an aside behind all that waits in its lane, of which there must be something; park keeps it until the reader
// has passed seq.
func (s *sched) rotate(it *item) (ready bool) {
	ln := it.lane
	s.inflight--
	ln.busy = false
	ln.head, ln.tail.next, ln.tail, it.next = it.next, it, it, nil
	return s.queue(ln)
}

func (s *sched) park(it *item, seq uint64) (ready bool) {
	ln := it.lane
	s.inflight--
	it.lane = &lane{id: ln.id} // the lane may be forgotten meanwhile
	it.seq = seq
	s.lanes.pop(ln)
	s.parked.push(it)
	if ln.head != nil {
		ready = s.queue(ln)
	}
	return ready
}

// saved takes note of durable floors.
func (s *sched) saved(floors map[int]uint64) (ready bool) {
	for p, f := range floors {
		s.lanes.saved(p, f, func(ln *lane) { ready = s.queue(ln) || ready })
	}
	return ready
}

// urgent reports whether saving the floors now could unblock a lane, or bounds what the lanes remember.
func (s *sched) urgent() bool {
	if s.lanes.unsafeN > 4*s.window.events {
		return true
	}
	for p, n := range s.lanes.barred {
		if n > 0 && s.floors.floor(p) > s.lanes.durable[p] {
			return true
		}
	}
	return false
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
