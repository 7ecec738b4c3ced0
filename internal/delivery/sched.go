package delivery

import (
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
