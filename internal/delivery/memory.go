package delivery

import "sync"

// memory remembers, for a bounded number of objects, the newest event after which the target did not hold them.
type memory struct {
	mu       sync.Mutex
	new, old map[string]uint64
}

const memorySize = 1 << 14

func (m *memory) note(producer, id string, seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.new == nil || len(m.new) >= memorySize {
		m.old, m.new = m.new, make(map[string]uint64)
	}
	m.new[producer+" "+id] = seq
}

func (m *memory) is(producer, id string, seq uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.new) == 0 {
		return false
	}
	key := producer + " " + id
	if s, ok := m.new[key]; ok {
		return s == seq
	}
	s, ok := m.old[key]
	return ok && s == seq
}
