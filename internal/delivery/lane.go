package delivery

import "strings"

// lane holds the versions of one object that are on their way, oldest first. The head alone may be delivered, and only when
// the version before it is durably behind us: else a crash could bring that one to the target again, after this one.
type lane struct {
	id         string
	part       int
	head, tail *item
	n          int    // items in it
	busy       bool   // the head is with a worker
	ready      bool   // the head is in a queue of the scheduler
	blocked    bool   // the head waits for the durable floor to reach last
	listed     bool   // in lanes.unsafe
	last       uint64 // newest sequence that the target may have seen
}

// lanes are all lanes with something to do or to remember.
type lanes struct {
	byID    map[string]*lane
	unsafe  [][]*lane // by partition: lanes whose last is above the durable floor
	unsafeN int
	barred  []int    // by partition: lanes that wait for the barrier
	durable []uint64 // by partition: the saved floor
	spare   []*lane
}

func newLanes(partitions int) *lanes {
	return &lanes{byID: map[string]*lane{}, unsafe: make([][]*lane, partitions), barred: make([]int, partitions), durable: make([]uint64, partitions)}
}

// add appends the item to its object's lane.
func (l *lanes) add(id string, it *item) *lane {
	ln := l.byID[id]
	if ln == nil {
		if n := len(l.spare); n > 0 {
			ln = l.spare[n-1]
			l.spare = l.spare[:n-1]
			*ln = lane{}
		} else {
			ln = &lane{}
		}
		ln.id, ln.part = strings.Clone(id), it.part // an id is part of its object's bytes: keep it, not the object
		l.byID[ln.id] = ln
	}
	it.lane, it.next = ln, nil
	if ln.tail == nil {
		ln.head = it
	} else {
		ln.tail.next = it
	}
	ln.tail = it
	ln.n++
	return ln
}

// offer says whether the lane's head may go to a queue now; it notes a head that the barrier stops.
func (l *lanes) offer(ln *lane) bool {
	if ln.blocked {
		ln.blocked = false
		l.barred[ln.part]--
	}
	if ln.head == nil || ln.busy || ln.ready {
		return false
	}
	again := ln.head.aside == nil && ln.head.seq == ln.last // a failed delivery is no barrier to its own repetition
	if ln.last > l.durable[ln.part] && !again {
		ln.blocked = true
		l.barred[ln.part]++
		l.watch(ln)
		return false
	}
	ln.ready = true
	return true
}

// pop takes the head, which is done, out of its lane; forget follows when nothing needs the lane any more.
func (l *lanes) pop(ln *lane) {
	ln.head = ln.head.next
	ln.n--
	if ln.head == nil {
		ln.tail = nil
	}
	ln.busy = false
	if ln.last > l.durable[ln.part] {
		l.watch(ln)
	} else if ln.head == nil {
		l.forget(ln)
	}
}

// watch lists a lane so that saved looks at it.
func (l *lanes) watch(ln *lane) {
	if !ln.listed {
		ln.listed = true
		l.unsafe[ln.part] = append(l.unsafe[ln.part], ln)
		l.unsafeN++
	}
}

func (l *lanes) forget(ln *lane) {
	if ln.listed || ln.head != nil {
		return
	}
	delete(l.byID, ln.id)
	ln.id = ""
	l.spare = append(l.spare, ln)
}

// saved takes note of a durable floor and calls free for each lane that it unblocks.
func (l *lanes) saved(part int, floor uint64, free func(*lane)) {
	if floor <= l.durable[part] {
		return
	}
	l.durable[part] = floor
	all := l.unsafe[part]
	keep := all[:0]
	for _, ln := range all {
		switch {
		case ln.last > floor:
			keep = append(keep, ln)
		default:
			ln.listed = false
			l.unsafeN--
			switch {
			case ln.blocked:
				free(ln)
			case ln.head == nil:
				l.forget(ln)
			}
		}
	}
	clear(all[len(keep):])
	l.unsafe[part] = keep
}
