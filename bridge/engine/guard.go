package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// high is the high-water mark: kept outside the store, it tells a log that was put back from an older copy.
type high struct {
	Created time.Time `json:"created"` // of the stream: another log has another mark
	Seq     uint64    `json:"seq"`
}

func (e *Engine) highFile() string { return filepath.Join(e.cfg.Config.NATS.Dir, "high-water.json") }

// guard refuses to start where time or the log's end have gone back, or time has leapt so far ahead that retention would take everything.
func (e *Engine) guard(ctx context.Context) error {
	info, err := e.store.Log.Info(ctx)
	if err != nil {
		return err
	}
	if s := info.State; s.Msgs > 0 && !e.opt.AcceptClock {
		ahead := time.Since(s.LastTime)
		switch age := time.Duration(e.cfg.Config.NATS.MaxAge); {
		case ahead < -time.Hour:
			return fmt.Errorf("the clock of this machine is %v behind the last event (%s); set the clock", (-ahead).Round(time.Second), s.LastTime.UTC().Format(time.RFC3339))
		case age > 0 && ahead > age:
			return fmt.Errorf("the last event is %v old, more than nats.max_age (%v): retention will remove the whole event log; if the clock is right, run once with --accept-clock", ahead.Round(time.Minute), age)
		}
	}
	b, err := os.ReadFile(e.highFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var h high
	if err == nil {
		err = json.Unmarshal(b, &h)
	}
	if err != nil {
		return fmt.Errorf("%s: %w; delete the file to go on without this check", e.highFile(), err)
	}
	if h.Created.Equal(info.Created) && h.Seq > info.State.LastSeq {
		return fmt.Errorf("the event log ends at %d, but this bridge has seen %d: it was put back from an older copy or lost its end; restore log, state and latest objects from one backup, or delete %s to go on with what there is",
			info.State.LastSeq, h.Seq, e.highFile())
	}
	return nil
}

// mark writes the high-water mark.
func (e *Engine) mark(ctx context.Context) {
	if !e.guarded {
		return // a log that was refused must not lower the mark
	}
	info, err := e.store.Log.Info(ctx)
	if err != nil {
		return // the next one will do
	}
	b, err := json.Marshal(high{info.Created, info.State.LastSeq})
	if err == nil {
		tmp := e.highFile() + ".new"
		if err = os.WriteFile(tmp, append(b, '\n'), 0o600); err == nil {
			err = os.Rename(tmp, e.highFile())
		}
	}
	if err != nil {
		e.log.Warn("high-water mark", "error", err)
	}
}

// sweep removes large payloads that nothing needs any more, and keeps the checkpoints of producers that do not run ahead of retention, once a day.
func (e *Engine) sweep(ctx context.Context) error {
	for pause(ctx, 24*time.Hour) == nil {
		if err := e.settleAbsent(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("checkpoints of producers that do not run", "error", err)
		}
		n, err := eventlog.Sweep(ctx, e.store)
		if err != nil && ctx.Err() == nil {
			e.log.Warn("sweep of large payloads", "error", err)
		}
		if n > 0 {
			e.log.Info("removed large payloads that nothing refers to", "count", n)
		}
	}
	return nil
}

// watermarks writes the mark and samples rates now and then.
func (e *Engine) watermarks(ctx context.Context) error {
	for pause(ctx, 5*time.Second) == nil {
		if free := e.diskFree(); free >= 0 && free < diskLow {
			e.log.Error("the disk of the event log is nearly full", "dir", e.cfg.Config.NATS.Dir, "free_bytes", free)
		}
		e.mark(ctx)
		if _, last, err := e.store.Log.Bounds(ctx); err == nil {
			e.growth.add(last)
		}
		for _, p := range e.producers {
			p.rate.add(p.events())
		}
	}
	return nil
}
