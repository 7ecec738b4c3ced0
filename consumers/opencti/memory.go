package opencti

import (
	"context"
	"sync"
)

// rememberObjects bounds the ids that are known to have been sent; about 100 bytes each.
const rememberObjects = 200_000

// memory of what this process has sent. It only saves work: what it has forgotten is sent once more.
type memory struct {
	most int

	mu        sync.Mutex
	young     map[string]struct{}
	old       map[string]struct{}
	flying    map[string]*flight // what calls under way carry
	followers []string           // producers that follow this platform
}

func (m *memory) has(id string) bool {
	known, _ := m.knows(id)
	return known
}

// knows reports whether an object was sent, or the flight that it is booked on.
func (m *memory) knows(id string) (bool, *flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.young[id]; ok {
		return true, nil
	}
	if _, ok := m.old[id]; ok {
		return true, nil
	}
	return false, m.flying[id]
}

// flight is what one call hands to the broker. What another call hands over later comes after it in the queue, as long as neither has to send
// anything twice.
type flight struct {
	n      uint64          // place in the order of calls: sequence of the first event
	ids    map[string]bool // booked; true once handed over
	handed chan struct{}   // closed when nothing more is handed over
	done   chan struct{}   // closed when it is known how it ended
	sure   bool            // all arrived, and at the first try; valid when done
	closed bool            // handed is
	landed bool            // done is
}

// book begins a flight with the objects that it may carry. Those that another one carries already stay there.
func (m *memory) book(n uint64, ids []string) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &flight{n: n, ids: make(map[string]bool, len(ids)), handed: make(chan struct{}), done: make(chan struct{})}
	if m.flying == nil {
		m.flying = map[string]*flight{}
	}
	for _, id := range ids {
		f.ids[id] = false
		if m.flying[id] == nil {
			m.flying[id] = f
		}
	}
	return f
}

// board notes what was handed over.
func (m *memory) board(f *flight, ids []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		f.ids[id] = true
		if m.flying[id] == nil {
			m.flying[id] = f
		}
	}
}

// carries waits, if it must, until it is known whether a flight hands an object over before the one that asks. To those that began later it
// does not listen: they may be waiting for it.
func (m *memory) carries(ctx context.Context, f *flight, id string, asks *flight) bool {
	if f.n < asks.n {
		select {
		case <-f.handed:
		case <-ctx.Done():
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return f.ids[id]
}

// depart says that nothing more is handed over.
func (m *memory) depart(f *flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.handed)
	}
}

// land ends a flight, unless it has ended; what surely arrived with it is known from now on.
func (m *memory) land(f *flight, sure bool) {
	m.depart(f)
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.landed {
		return
	}
	f.landed = true
	for id, handed := range f.ids {
		if m.flying[id] == f {
			delete(m.flying, id)
		}
		if sure && handed {
			m.note(id)
		}
	}
	f.sure = sure
	close(f.done)
}

// well waits for the end of a flight and reports whether what was handed over after it surely comes after it.
func (f *flight) well(ctx context.Context) bool {
	select {
	case <-f.done:
		return f.sure
	case <-ctx.Done():
		return false
	}
}

func (m *memory) add(ids []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		m.note(id)
	}
}

func (m *memory) note(id string) {
	if m.young == nil || len(m.young) >= m.most/2 {
		m.young, m.old = make(map[string]struct{}), m.young
	}
	m.young[id] = struct{}{}
}

func (m *memory) forget(ids ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		delete(m.young, id)
		delete(m.old, id)
	}
}

func (m *memory) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.young, m.old = nil, nil
}

// follow notes a producer that follows this platform.
func (m *memory) follow(producer string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.followers {
		if p == producer {
			return
		}
	}
	m.followers = append(m.followers, producer)
}

func (m *memory) following() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.followers
}
