package delivery

// heap holds items with the lowest sequence on top. Items arrive nearly in order, so that a push is mostly one append.
type heap []*item

func (h *heap) push(it *item) {
	q := append(*h, it)
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 2
		if q[up].seq <= it.seq {
			break
		}
		q[i] = q[up]
		i = up
	}
	q[i] = it
	*h = q
}

func (h heap) top() *item {
	if len(h) == 0 {
		return nil
	}
	return h[0]
}

func (h *heap) pop() *item {
	q := *h
	first, last := q[0], q[len(q)-1]
	q[len(q)-1] = nil
	q = q[:len(q)-1]
	*h = q
	if len(q) == 0 {
		return first
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(q) {
			break
		}
		if right := down + 1; right < len(q) && q[right].seq < q[down].seq {
			down = right
		}
		if last.seq <= q[down].seq {
			break
		}
		q[i] = q[down]
		i = down
	}
	q[i] = last
	return first
}
