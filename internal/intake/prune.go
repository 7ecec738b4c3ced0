package intake

import (
	"context"
	"errors"
	"fmt"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/stix"
)

// ErrTooMany says that a complete read would delete more than the producer may.
var ErrTooMany = errors.New("would delete too much")

// Prune implements bridge.Intake.
func (in *Intake) Prune(ctx context.Context, keep func(id string) bool) (int, error) {
	if err := in.Flush(ctx); err != nil {
		return 0, err
	}
	filter := eventlog.LatestFilter("*", in.opt.Producer)
	held, gone := 0, 0
	err := in.store.Latest.Scan(ctx, "prune-"+in.opt.Producer, filter, 0, true, func(e eventlog.Entry) error {
		if e.Asserted() || e.Op == bridge.Expire {
			held++
			if !keep(e.ID) {
				gone++
			}
		}
		return nil
	})
	if err != nil || gone == 0 {
		return 0, err
	}
	if gone > 1 && gone*100 > in.opt.MaxDelete*held && !in.opt.AcceptDeletes {
		return 0, fmt.Errorf("the source no longer holds %d of %d objects: %w (max_delete %d%%); if that is right, run once with --accept-deletes %s",
			gone, held, ErrTooMany, in.opt.MaxDelete, in.opt.Producer)
	}
	deleted := 0
	err = in.store.Latest.Scan(ctx, "prune-"+in.opt.Producer, filter, 0, true, func(e eventlog.Entry) error {
		if (e.Asserted() || e.Op == bridge.Expire) && !keep(e.ID) {
			deleted++
			return in.Put(ctx, bridge.Change{Op: bridge.Delete, Object: stix.Stub(e.Type, e.ID)})
		}
		return nil
	})
	return deleted, errors.Join(err, in.Flush(ctx))
}

// Erasures is the number of erasures so far; it is part of event ids, so that what was erased can come in again.
func Erasures(ctx context.Context, s *eventlog.State) (uint64, error) {
	var n struct {
		Count uint64 `json:"count"`
	}
	_, err := s.Get(ctx, "erasures", &n)
	return n.Count, err
}
