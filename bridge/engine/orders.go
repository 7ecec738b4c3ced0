package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stixbridge/stixbridge/internal/delivery"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// orders keeps the replays of a consumer: replay.<consumer>.<id> is the order, replayed.<consumer>.<id>.<partition> how far it is.
type orders struct {
	state      *eventlog.State
	consumer   string
	partitions int
}

func (o orders) key(id string) string { return "replay." + o.consumer + "." + id }

func (o orders) progress(id string, p int) string {
	return fmt.Sprintf("replayed.%s.%s.%d", o.consumer, id, p)
}

func (o orders) Save(ctx context.Context, r delivery.Order) error {
	_, err := o.state.SwapAll(ctx, []eventlog.Write{{Key: o.key(r.ID), Value: r}})
	if errors.Is(err, eventlog.ErrChanged) {
		return nil // another member was faster; or it is over already: the removal of its key is remembered for a minute
	}
	return err
}

func (o orders) Note(ctx context.Context, r delivery.Order, at map[int]uint64) (over bool, err error) {
	rev, err := o.state.Get(ctx, o.key(r.ID), &delivery.Order{})
	if err != nil || rev == 0 {
		return rev == 0 && err == nil, err
	}
	all := make(map[string]any, len(at))
	done := true
	for p, seq := range at {
		all[o.progress(r.ID, p)] = seq
		done = done && seq >= r.To
	}
	if err := o.state.PutAll(ctx, all); err != nil || !done {
		return false, err
	}
	for p := range o.partitions {
		var seq uint64
		if _, err := o.state.Get(ctx, o.progress(r.ID, p), &seq); err != nil || seq < r.To {
			return false, err
		}
	}
	if err := o.state.Remove(ctx, o.key(r.ID), rev); err != nil {
		return false, err // another member was faster: the next time tells
	}
	for p := range o.partitions {
		if err := o.state.Delete(ctx, o.progress(r.ID, p)); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (o orders) List(ctx context.Context) ([]delivery.Order, error) {
	keys, err := o.state.Keys(ctx, o.key(""))
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	var all []delivery.Order
	for _, k := range keys {
		var r delivery.Order
		rev, err := o.state.Get(ctx, k, &r)
		if err != nil {
			return nil, err
		}
		if rev == 0 {
			continue
		}
		r.At = map[int]uint64{}
		for p := range o.partitions {
			var seq uint64
			if _, err := o.state.Get(ctx, o.progress(r.ID, p), &seq); err != nil {
				return nil, err
			}
			r.At[p] = seq
		}
		all = append(all, r)
	}
	return all, nil
}
