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
	flying    map[string]*flight // what calls under way have handed over
	followers []string           // producers that follow this platform
}

func (m *memory) has(id string) bool {
	known, _ := m.knows(id)
	return known
}

// knows reports whether an object was sent, or the flight that it is on.
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
	ids  []string
	done chan struct{} // closed when it is known how it ended
	sure bool          // all arrived, and at the first try; valid when done
}

func newFlight() *flight { return &flight{done: make(chan struct{})} }

// board puts objects on a flight.
func (m *memory) board(f *flight, ids []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flying == nil {
		m.flying = map[string]*flight{}
	}
	f.ids = append(f.ids, ids...)
	for _, id := range ids {
		m.flying[id] = f
	}
}

// land ends a flight.
func (m *memory) land(f *flight, sure bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range f.ids {
		if m.flying[id] == f {
			delete(m.flying, id)
		}
	}
	f.sure = sure
	close(f.done)
}

// landed waits for the end of a flight and reports whether what came after it is certain to.
func (f *flight) landed(ctx context.Context) bool {
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
		if m.young == nil || len(m.young) >= m.most/2 {
			m.young, m.old = make(map[string]struct{}), m.young
		}
		m.young[id] = struct{}{}
	}
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
