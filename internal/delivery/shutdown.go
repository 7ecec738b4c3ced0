package delivery

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// grace is how much longer than its deadline a plugin may take before it counts as stuck.
const grace = 5 * time.Second

// settleDown lets no more calls begin and waits for those under way: at most Drain, then it cuts them off. A plugin that does not
// come back even then is left behind; nothing that it still does counts.
func (r *Runner) settleDown(ctx context.Context, workers *sync.WaitGroup, cut func()) {
	r.mu.Lock()
	r.closing = true
	r.wakeLocked()
	r.mu.Unlock()
	if errors.Is(context.Cause(ctx), ErrFenced) {
		cut() // another instance may deliver by now
	}
	defer time.AfterFunc(r.cfg.Drain, cut).Stop()
	if !waitFor(workers, r.cfg.Drain+grace) || !waitFor(&r.others, grace) {
		r.cfg.Logger.Error("the plugin ignores its deadline and is left behind", "consumer", r.cfg.Name)
	}
}

// waitFor reports whether all have ended in time.
func waitFor(g *sync.WaitGroup, d time.Duration) bool {
	done := make(chan struct{})
	go func() { g.Wait(); close(done) }()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// conclude saves the position and closes the sink.
func (r *Runner) conclude(ctx context.Context) error {
	var err error
	if !errors.Is(context.Cause(ctx), ErrFenced) {
		err = r.lastSave(ctx)
	}
	if c, ok := as[io.Closer](r.cfg.Sink); ok {
		if cerr := c.Close(); cerr != nil {
			r.cfg.Logger.Warn("closing the target failed", "consumer", r.cfg.Name, "error", cerr)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = false
	switch cause := context.Cause(ctx); {
	case r.over != nil:
		err = r.over
	case errors.Is(cause, ErrFenced):
		err = r.wrap("ended", cause)
		r.over, r.broke = err, true
	case err != nil:
		r.over, r.broke = err, true
	default:
		r.over = errEnding
	}
	r.wakeLocked()
	return err
}
