package opencti

import (
	"context"
	"sync"
)

// adrift is what a call that was cut off may have sent, nobody knows when: a process that was asleep for a while can send what others have
// sent newer versions of since. Once nothing can be under way any more, the newest version is sent after it.
type adrift struct {
	mu sync.Mutex
	m  map[string]*card
}

// mostAdrift bounds them; a call holds fewer.
const mostAdrift = 20_000

// add takes the pieces of a call that was cut off.
func (a *adrift) add(sent []piece, failed map[int]error) {
	var cards []*card
	for i, one := range sent {
		if failed[i] != nil || one.card.event < 0 {
			cards = append(cards, one.card)
		}
	}
	a.put(cards)
}

func (a *adrift) put(cards []*card) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.m == nil {
		a.m = map[string]*card{}
	}
	for _, c := range cards {
		if len(a.m) < mostAdrift {
			a.m[c.object.ID()] = c
		}
	}
}

// settled forgets ids whose newest version was sent.
func (a *adrift) settled(ids []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		delete(a.m, id)
	}
}

func (a *adrift) all() (cards []*card) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.m {
		cards = append(cards, c)
	}
	return cards
}

// catchUp sends the newest version of what is adrift, once nothing of it can be under way any more.
func (s *sink) catchUp(ctx context.Context) {
	cards := s.adrift.all()
	if len(cards) == 0 {
		return
	}
	ses, err := s.registered(ctx)
	if err != nil || ses.publisher != nil && ses.publisher.Left() > 0 {
		return // next time
	}
	c := &call{s: s, ses: ses, bundle: bundleID("adrift " + cards[0].object.ID())}
	for round := 0; err == nil && len(cards) > 0; round++ {
		cards, err = c.follow(ctx, cards, round)
	}
}
