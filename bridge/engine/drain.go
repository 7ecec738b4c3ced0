package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// drain waits until every consumer has dealt with everything, also with what enrichers add meanwhile. A consumer that is paused, or
// has had no success for the timeout, counts as pending.
func (e *Engine) drain(ctx context.Context) error {
	limit := e.opt.Timeout
	if limit == 0 {
		limit = time.Minute
	}
	progress := map[string]time.Time{}
	last := map[string]uint64{}
	for {
		info, err := e.store.Log.Info(ctx)
		if err != nil {
			return err
		}
		var pending []string
		stuck := true
		for _, k := range e.consumers {
			s := k.runner().Status(info.State.LastSeq)
			if s.Lag == 0 && s.InFlight == 0 && s.Phase != "snapshot" && s.Replay == nil {
				continue
			}
			if done := s.Position + s.Delivered + heldBack(s); done != last[s.Name] || progress[s.Name].IsZero() {
				last[s.Name], progress[s.Name] = done, time.Now()
			}
			if s.Health != bridge.Stopped && time.Since(progress[s.Name]) < limit {
				stuck = false
			}
			text := fmt.Sprintf("%s: %d events", s.Name, s.Lag)
			if s.Replay != nil {
				text += " and a replay"
			}
			if s.Error != "" {
				text += " (" + s.Error + ")"
			}
			pending = append(pending, text)
		}
		if len(pending) == 0 {
			now, err := e.store.Log.Info(ctx)
			if err != nil || now.State.LastSeq == info.State.LastSeq {
				return err
			}
			continue
		}
		if stuck {
			return fmt.Errorf("pending: %s", strings.Join(pending, "; "))
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil
		}
	}
}

func heldBack(s bridge.ConsumerStatus) (n uint64) {
	for _, h := range s.Held {
		n += h
	}
	return n
}
