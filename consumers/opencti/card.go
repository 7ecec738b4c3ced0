package opencti

import (
	"context"
	"encoding/json"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/google/uuid"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// card is one object that is to go to the platform.
type card struct {
	outward
	version
	event int    // index in the batch; -1: the object goes along with others, or after them
	order []byte // bundle that tells the worker to delete or merge; nil: import only
	gone  bool   // the order deletes: there is nothing to import
}

// version names what a producer said of an object at one time.
type version struct {
	producer string
	seq      uint64 // in the event log
}

// read finds out what each event of a batch means to the platform. What cannot be sent goes to failed, what is held back is counted.
func (s *sink) read(ctx context.Context, batch []bridge.Event, failed *bridge.BatchError) ([]*card, error) {
	cards := make([]*card, 0, len(batch))
	var doubtful []*card // the platform may have the same content
	for i, e := range batch {
		c, held, err := s.card(e)
		switch {
		case err != nil:
			failed.Fail(i, bridge.Permanent(err))
		case held != "":
			s.counts.hold(held)
		default:
			c.event = i
			cards = append(cards, c)
			if !e.Retracts() && e.Op != bridge.Merge {
				doubtful = append(doubtful, c)
			}
		}
	}
	same, err := s.same(ctx, doubtful)
	if err != nil || len(same) == 0 {
		return cards, err
	}
	kept := cards[:0]
	for _, c := range cards {
		if same[c] {
			s.counts.hold(heldSame)
		} else {
			kept = append(kept, c)
		}
	}
	return kept, nil
}

// card is what an event means to the platform, or why it is held back.
func (s *sink) card(e bridge.Event) (c *card, held string, err error) {
	out, err := clean(e.Object)
	if err != nil {
		return nil, "", err
	}
	c = &card{outward: out, version: version{e.Producer, e.Seq}}
	switch from := e.Context.Origin; {
	case from != nil && from.Platform == s.platform: // it comes from there
		s.memory.follow(e.Producer)
		return nil, heldEcho, nil
	case c.inferred:
		return nil, heldInferred, nil
	case e.Retracts():
		held, err = s.takeBack(c, e)
	case e.Op == bridge.Merge && len(e.Context.Sources) > 0:
		c.order, err = order(e, c.object, map[string]any{"opencti_operation": "merge", "merge_target_id": c.object.ID(), "merge_source_ids": e.Context.Sources})
	}
	return c, held, err
}

// takeBack makes of a card what on_delete wants.
func (s *sink) takeBack(c *card, e bridge.Event) (held string, err error) {
	// The platform knows a renamed or merged object under its new name: deleting the old one would delete the new.
	if e.Context.Reason == "renamed" || e.Context.Reason == "merged" {
		return heldDelete, nil
	}
	what := s.OnDelete
	if what == "auto" {
		what = "ignore"
		if c.object.Type() == "indicator" {
			what = "revoke"
		}
	}
	switch {
	case what == "delete":
		c.gone = true
		c.order, err = order(e, c.object, map[string]any{"opencti_operation": "delete"})
	case what == "revoke" && c.object.Modified() != "": // else an observable, which has no revoked state, or only id and type are known
		c.object, err = c.object.Set("revoked", true)
	default:
		return heldDelete, nil
	}
	return "", err
}

// order makes the one-object bundle by which the worker is told to do something else than to import.
func order(e bridge.Event, o stix.Object, members map[string]any) ([]byte, error) {
	small := map[string]any{"type": o.Type(), "id": o.ID(), "spec_version": "2.1"}
	for k, v := range members {
		small[k] = v
	}
	return json.Marshal(map[string]any{"type": "bundle", "id": bundleID(e.ID), "spec_version": "2.1", "x_opencti_seq": 1, "objects": []any{small}})
}

// bundleID is the same whenever the same event is sent again.
func bundleID(event string) string {
	return "bundle--" + uuid.NewSHA1(uuid.NameSpaceOID, []byte("stixbridge:"+event)).String()
}

// lookups is how many look-ups are under way at once; the runtime puts together what waits.
const lookups = 128

// same finds those whose content the platform has: a live stream of it said so last.
func (s *sink) same(ctx context.Context, cards []*card) (map[*card]bool, error) {
	live := s.memory.following()
	if len(live) == 0 {
		return nil, nil
	}
	var mu sync.Mutex
	found := map[*card]bool{}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookups)
	for _, c := range cards {
		g.Go(func() error {
			for _, producer := range live {
				theirs, ok, err := s.lent().Lookup(ctx, c.object.ID(), producer)
				if err != nil {
					return err
				}
				if ok && equals(c.object, theirs) {
					mu.Lock()
					found[c] = true
					mu.Unlock()
					return nil
				}
			}
			return nil
		})
	}
	return found, g.Wait()
}
