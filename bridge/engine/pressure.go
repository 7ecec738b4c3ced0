package engine

import (
	"context"
	"sync"
	"time"
)

// pressure makes publishers wait while the event log is nearly full and a consumer with protect: true has not read its oldest events: the
// source waits, nothing that the consumer needs is dropped.
type pressure struct {
	e  *Engine
	mu sync.Mutex
	at time.Time
	no bool // last verdict: the log must not grow
}

// nearlyFull is the share of max_bytes from which publishers wait.
const nearlyFull = 0.95

func newPressure(e *Engine) *pressure { return &pressure{e: e} }

// wait blocks while the log must not grow.
func (p *pressure) wait(ctx context.Context) error {
	for told := false; ; {
		no, err := p.look(ctx)
		if err != nil || !no {
			return err
		}
		if !told {
			p.e.log.Warn("publishers wait: the event log is nearly full and a protected consumer has not read its oldest events")
			told = true
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// look returns the verdict, at most a second old.
func (p *pressure) look(ctx context.Context) (bool, error) {
	protected := false
	for _, c := range p.e.consumers {
		protected = protected || c.cfg.Protect
	}
	if !protected {
		return false, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) < time.Second {
		return p.no, nil
	}
	info, err := p.e.store.Log.Info(ctx)
	if err != nil {
		return false, err
	}
	p.no = false
	if float64(info.State.Bytes) > nearlyFull*float64(info.Config.MaxBytes) && info.Config.MaxBytes > 0 {
		margin := info.State.FirstSeq + info.State.Msgs/10 // what the next few events could push out
		for _, c := range p.e.consumers {
			if !c.cfg.Protect {
				continue
			}
			floor, err := c.floor(ctx)
			if err != nil {
				return false, err
			}
			p.no = p.no || floor < margin
		}
	}
	p.at = time.Now()
	return p.no, nil
}

// Waiting reports whether publishers wait now.
func (p *pressure) waiting() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.no }
