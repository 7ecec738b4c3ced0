package delivery

// floors know, per partition, which items are on their way, and so up to where everything is dealt with.
type floors struct {
	open  []fifo // by partition, in log order; the front is not settled
	read  uint64 // every event up to here was seen by the reader
	count int    // items in all partitions, settled ones behind an open front among them
}

func newFloors(partitions int) *floors { return &floors{open: make([]fifo, partitions)} }

func (f *floors) add(it *item) {
	f.open[it.part].push(it)
	f.count++
}

// floor returns up to where the partition is done.
func (f *floors) floor(part int) uint64 {
	if it := f.open[part].front(); it != nil {
		return it.seq - 1
	}
	return f.read
}

// settle marks an item as dealt with and returns the items that nothing needs any more.
func (f *floors) settle(it *item, free func(*item)) (moved bool) {
	it.settled = true
	q := &f.open[it.part]
	for {
		front := q.front()
		if front == nil || !front.settled {
			return moved
		}
		q.pop()
		f.count--
		moved = true
		free(front)
	}
}

// lowest returns the oldest item that is not dealt with, or nil.
func (f *floors) lowest() *item {
	var low *item
	for i := range f.open {
		if it := f.open[i].front(); it != nil && (low == nil || it.seq < low.seq) {
			low = it
		}
	}
	return low
}

// fifo is a queue of items.
type fifo struct {
	buf  []*item
	head int
}

func (q *fifo) push(it *item) {
	if q.head > 32 && q.head*2 > len(q.buf) {
		n := copy(q.buf, q.buf[q.head:])
		clear(q.buf[n:])
		q.buf, q.head = q.buf[:n], 0
	}
	q.buf = append(q.buf, it)
}

func (q *fifo) front() *item {
	if q.head == len(q.buf) {
		return nil
	}
	return q.buf[q.head]
}

func (q *fifo) pop() {
	q.buf[q.head] = nil
	q.head++
	if q.head == len(q.buf) {
		q.buf, q.head = q.buf[:0], 0
	}
}
