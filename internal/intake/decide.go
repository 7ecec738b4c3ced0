package intake

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

const (
	groupChanges = 900     // changes that one group takes at most; a change makes up to two events and some more for merges
	groupBytes   = 4 << 20 // object bytes that one group takes at most, but for its first change
)

// pending is the state of an object after an event that is on its way.
type pending struct {
	entry eventlog.Entry
	known bool // entry.Seq is set: the event is stored
}

// group is what is stored as one atomic batch.
type group struct {
	msgs    []*nats.Msg
	after   []*pending // per message: the state it leads to; nil for a retract that is followed by its successor
	keys    []string   // per message: key of the state in overlay
	cursor  json.RawMessage
	at      int // index of the message that carries cursor, -1: none does
	force   bool
	ticket  uint64
	touched map[string]bool // keys in this group
	bytes   int
}

// decide forms groups of what waits and hands them on.
func (in *Intake) decide() error {
	var held *item // taken from the channel, but belongs to the next group
	for {
		var first item
		if held != nil {
			first, held = *held, nil
		} else {
			select {
			case first = <-in.in:
			case <-in.ctx.Done():
				return nil
			}
		}
		first.keys = in.claims(&first) // again, if it was held: a group since may have taught us another name of it
		batch := make([]item, 1, groupChanges)
		batch[0] = first
		keys := make(map[string]struct{}, groupChanges)
		size := len(first.change.Object.Raw())
		claim(&first, keys)
	fill:
		for len(batch) < groupChanges && size < groupBytes {
			select {
			case it := <-in.in:
				it.keys = in.claims(&it)
				if conflicts(&it, keys) {
					held = &it
					break fill
				}
				claim(&it, keys)
				size += len(it.change.Object.Raw())
				batch = append(batch, it)
			default:
				break fill
			}
		}
		g, err := in.form(batch)
		if err != nil {
			return err
		}
		select {
		case in.groups <- g:
		case <-in.ctx.Done():
			return nil
		}
	}
}

// claim notes the objects that a change touches; a later change of one of them goes into the next group, because its previous
// event's sequence must be known.
func claim(it *item, keys map[string]struct{}) {
	for _, k := range it.keys {
		keys[k] = struct{}{}
	}
}

func conflicts(it *item, keys map[string]struct{}) bool {
	for _, k := range it.keys {
		if _, taken := keys[k]; taken {
			return true
		}
	}
	return false
}

// claims are the states that an item may touch, and the source's own name of its object: under which id it was known last must be known, too.
func (in *Intake) claims(it *item) []string {
	if it.change.Object.IsZero() {
		return nil
	}
	keys := in.keysOf(&it.change)
	it.states = len(keys)
	if it.change.Alias != "" {
		keys = append(keys, "alias "+it.change.Alias)
	}
	return keys
}

func (in *Intake) key(id string) string {
	typ, _, _ := strings.Cut(id, "--")
	return eventlog.LatestSubject(safe(typ), id, in.opt.Producer)
}

func safe(typ string) string {
	if eventlog.SafeType(typ) {
		return typ
	}
	return "unknown"
}

// keysOf lists the states that a change may touch, the object's own first.
func (in *Intake) keysOf(c *bridge.Change) []string {
	keys := []string{eventlog.LatestSubject(c.Object.Type(), c.Object.ID(), in.opt.Producer)}
	for _, id := range c.OtherIDs {
		if id != c.Object.ID() {
			keys = append(keys, in.key(id))
		}
	}
	for _, s := range c.Sources {
		keys = append(keys, eventlog.LatestSubject(safe(s.Type()), s.ID(), in.opt.Producer))
	}
	if c.Alias != "" {
		in.mu.Lock()
		old := in.aliases[c.Alias]
		in.mu.Unlock()
		if old != "" && old != c.Object.ID() {
			keys = append(keys, in.key(old))
		}
	}
	return keys
}

// form decides a batch of items.
func (in *Intake) form(batch []item) (*group, error) {
	g := &group{at: -1, ticket: batch[len(batch)-1].ticket, touched: map[string]bool{}}
	states, err := in.lookup(batch)
	if err != nil {
		return nil, err
	}
	if in.erasures, err = in.countErasures(); err != nil {
		return nil, err
	}
	for i := range batch {
		it := &batch[i]
		switch {
		case it.cursor != nil:
			g.cursor, g.at = it.cursor, len(g.msgs)-1
			in.before, in.seen = in.seen, map[string]struct{}{}
		case it.force:
			g.force = true
		default:
			if err := in.change(g, it, states); err != nil {
				return nil, err
			}
		}
	}
	if g.cursor != nil && g.at >= 0 {
		g.msgs[g.at].Header[eventlog.HeaderCursor] = []string{in.seal.Seal(g.cursor)}
	}
	return g, nil
}

// lookup returns the present state of every object that the batch may touch: from what is under way, else from STIX_LATEST.
func (in *Intake) lookup(batch []item) (map[string]*pending, error) {
	states := make(map[string]*pending, len(batch))
	var ask []string
	for i := range batch {
		for _, k := range batch[i].keys[:batch[i].states] {
			if _, ok := states[k]; ok {
				continue
			}
			if p := in.underway(k); p != nil {
				states[k] = p
				continue
			}
			states[k] = nil
			if !in.fresh.certainlyNew(k) {
				ask = append(ask, k)
			}
		}
	}
	err := in.persist(in.ctx, "look up known objects", func(ctx context.Context) error {
		found, err := in.store.Latest.Lookup(ctx, ask)
		for k, e := range found {
			states[k] = &pending{entry: e, known: true}
		}
		return err
	})
	return states, err
}

// countErasures reads the counter that is part of event ids: what was erased a moment ago may come in again with the id it had.
func (in *Intake) countErasures() (n uint64, err error) {
	err = in.persist(in.ctx, "read the erasure counter", func(ctx context.Context) (err error) {
		n, err = Erasures(ctx, in.store.State)
		return err
	})
	return n, err
}

// underway returns the state that an event on its way leads to; it waits until that event's sequence is known.
func (in *Intake) underway(key string) *pending {
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		p := in.overlay[key]
		if p == nil || p.known || in.ctx.Err() != nil {
			return p
		}
		in.moved.Wait()
	}
}
