package chaos

import (
	"math/rand/v2"
	"time"
)

// Step is one fault of a schedule.
type Step struct {
	Fault string
	After time.Duration // of peace before it
	Hold  time.Duration // how long it lasts at least; it lasts until somebody has named it
	Pick  uint64        // chooses the victim
}

// Deck deals the faults of one track in an order that the seed decides: each once, then all of them again in another order.
type Deck struct {
	r      *rand.Rand
	faults []string
	left   []string
}

// NewDeck makes the deck of a track. The same seed and track deal the same steps.
func NewDeck(seed, track uint64, faults []string) *Deck {
	return &Deck{r: rand.New(rand.NewPCG(seed, track)), faults: faults}
}

// Next deals a step.
func (d *Deck) Next() Step {
	if len(d.left) == 0 {
		for _, i := range d.r.Perm(len(d.faults)) {
			d.left = append(d.left, d.faults[i])
		}
	}
	s := Step{
		Fault: d.left[0], Pick: d.r.Uint64(),
		After: time.Duration(200+d.r.IntN(1300)) * time.Millisecond, Hold: time.Duration(1000+d.r.IntN(2500)) * time.Millisecond,
	}
	d.left = d.left[1:]
	return s
}
