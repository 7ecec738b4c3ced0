package intake

import (
	"maps"
	"sync"
)

// Counts tells what became of a producer's input, by outcome and type. Outcomes are the ops, unchanged, duplicate and rejected.
type Counts struct {
	mu sync.Mutex
	n  map[[2]string]uint64
}

func (c *Counts) add(outcome, typ string, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[[2]string]uint64{}
	}
	c.n[[2]string{outcome, typ}] += n
}

// ByOutcome sums over the types.
func (c *Counts) ByOutcome() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := map[string]uint64{}
	for k, n := range c.n {
		sum[k[0]] += n
	}
	return sum
}

// All returns a copy: {outcome, type} → count.
func (c *Counts) All() map[[2]string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}
