package opencti

import "sync"

// rememberObjects bounds the ids that are known to have been sent; about 100 bytes each.
const rememberObjects = 200_000

// memory of what this process has sent. It only saves work: what it has forgotten is sent once more.
type memory struct {
	most int

	mu        sync.Mutex
	young     map[string]struct{}
	old       map[string]struct{}
	followers []string // producers that follow this platform
}

func (m *memory) has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.young[id]; ok {
		return true
	}
	_, ok := m.old[id]
	return ok
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

func (m *memory) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.young, id)
	delete(m.old, id)
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
