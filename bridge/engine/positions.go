package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stixbridge/stixbridge/internal/delivery"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// positions keeps a consumer's position: one record per partition, and its phase, each by compare-and-set.
type positions struct {
	state      *eventlog.State
	consumer   string
	partitions int
	share      []int // the partitions that are ours; nil: all
	owner      string

	revs []uint64 // per partition; last: the phase
}

// position is the record pos.<consumer>.<partition>.
type position struct {
	Owner string `json:"owner"`
	Floor uint64 `json:"floor"` // every event of the partition up to here is dealt with
}

func (p *positions) key(i int) string { return fmt.Sprintf("pos.%s.%d", p.consumer, i) }

func (p *positions) phaseKey() string { return "pos." + p.consumer + ".phase" }

func (p *positions) Load(ctx context.Context) (delivery.State, bool, error) {
	s, ok, err := p.read(ctx)
	if err != nil || !ok {
		return s, ok, err
	}
	// Taking over writes every record of ours, so that a former owner's next save fails.
	all := map[int]uint64{}
	for _, i := range p.ours() {
		all[i] = s.Floors[i]
	}
	if err := p.Save(ctx, delivery.Change{Floors: all}); err != nil {
		return s, false, err
	}
	return s, true, nil
}

func (p *positions) ours() []int {
	if p.share != nil {
		return p.share
	}
	all := make([]int, p.partitions)
	for i := range all {
		all[i] = i
	}
	return all
}

func (p *positions) read(ctx context.Context) (s delivery.State, ok bool, err error) {
	p.revs = make([]uint64, p.partitions+1)
	s.Floors = make([]uint64, p.partitions)
	if p.revs[p.partitions], err = p.state.Get(ctx, p.phaseKey(), &s.Phase); err != nil || p.revs[p.partitions] == 0 {
		return s, false, err
	}
	for i := range p.partitions {
		var r position
		if p.revs[i], err = p.state.Get(ctx, p.key(i), &r); err != nil {
			return s, false, err
		}
		s.Floors[i] = r.Floor
	}
	return s, true, nil
}

func (p *positions) Create(ctx context.Context, s delivery.State) error {
	if _, ok, err := p.read(ctx); err != nil || ok {
		return err
	}
	writes := []eventlog.Write{{Key: p.phaseKey(), Value: s.Phase}}
	for i, f := range s.Floors {
		writes = append(writes, eventlog.Write{Key: p.key(i), Value: position{p.owner, f}})
	}
	_, err := p.state.SwapAll(ctx, writes)
	if errors.Is(err, eventlog.ErrChanged) {
		return nil // somebody made it meanwhile
	}
	return err
}

func (p *positions) Save(ctx context.Context, c delivery.Change) error {
	if p.revs == nil {
		if _, _, err := p.read(ctx); err != nil {
			return err
		}
	}
	var writes []eventlog.Write
	var at []int
	for i := range p.partitions {
		if f, ok := c.Floors[i]; ok {
			writes, at = append(writes, eventlog.Write{Key: p.key(i), Value: position{p.owner, f}, Revision: p.revs[i]}), append(at, i)
		}
	}
	if c.Phase != nil {
		writes, at = append(writes, eventlog.Write{Key: p.phaseKey(), Value: *c.Phase, Revision: p.revs[p.partitions]}), append(at, p.partitions)
	}
	if len(writes) == 0 {
		return nil
	}
	revs, err := p.state.SwapAll(ctx, writes)
	switch {
	case err == nil:
		for i, n := range at {
			p.revs[n] = revs[i]
		}
		return nil
	case errors.Is(err, eventlog.ErrChanged):
		return p.adopt(ctx, err)
	default:
		return err
	}
}

// floor is up to where a consumer is durably done, whoever delivers to it; 0 when it has never run.
func floor(ctx context.Context, store *eventlog.Store, consumer string) (uint64, error) {
	p := positions{state: store.State, consumer: consumer, partitions: store.Log.Partitions()}
	s, ok, err := p.read(ctx)
	if err != nil || !ok {
		return 0, err
	}
	return slices.Min(s.Floors), nil
}

// adopt re-reads the revisions after a lost compare-and-set: an earlier save of ours may have been stored without an answer.
func (p *positions) adopt(ctx context.Context, lost error) error {
	for _, i := range p.ours() {
		var r position
		rev, err := p.state.Get(ctx, p.key(i), &r)
		if err != nil {
			return err
		}
		if rev != p.revs[i] && r.Owner != p.owner {
			return fmt.Errorf("%w (%s)", delivery.ErrFenced, r.Owner)
		}
		p.revs[i] = rev
	}
	var ph delivery.Phase
	rev, err := p.state.Get(ctx, p.phaseKey(), &ph)
	if err != nil {
		return err
	}
	p.revs[p.partitions] = rev
	return lost // plain: the runner saves again
}
