package engine

import (
	"context"
	"sync"
	"time"
)

// pressure makes publishers wait while the event log is nearly full and a consumer with protect: true has not read its oldest events: the
// source waits, nothing that the consumer needs is dropped.
//
// Publishers spend an allowance of bytes. It is a quarter of the room that the log has left when it was looked at, so that a few
// processes with producers can spend theirs at the same time.
type pressure struct {
	e         *Engine
	mu        sync.Mutex
	allowance int64
	blocked   bool // the last look gave none
}

// reserve is the share of max_bytes that publishers leave free: for enrichers and the expiry clock, which do not wait.
const reserve = 0.05

func newPressure(e *Engine) *pressure { return &pressure{e: e} }

// wait blocks until the log may grow by so many bytes.
func (p *pressure) wait(ctx context.Context, bytes int64) error {
	if !p.protects() {
		return nil
	}
	for told := false; ; {
		ok, err := p.spend(ctx, bytes)
		if err != nil || ok {
			return err
		}
		if !told {
			p.e.log.Warn("publishers wait: the event log is nearly full and a protected consumer has not read its oldest events")
			told = true
		}
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}

func (p *pressure) protects() bool {
	for _, c := range p.e.cfg.Consumers {
		if c.Protect {
			return true
		}
	}
	return false
}

// spend takes bytes out of the allowance, after another look at the log when there is too little.
func (p *pressure) spend(ctx context.Context, bytes int64) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.allowance < bytes {
		room, err := p.room(ctx)
		if err != nil {
			return false, err
		}
		p.allowance = room / 4
		p.blocked = room < bytes
		if p.blocked {
			return false, nil
		}
	}
	p.allowance -= min(bytes, p.allowance)
	return true, nil
}

// room is by how many bytes the log may grow before it drops, or comes near to, what a protected consumer has not read.
func (p *pressure) room(ctx context.Context) (int64, error) {
	info, err := p.e.store.Log.Info(ctx)
	if err != nil || info.Config.MaxBytes <= 0 {
		return 1 << 40, err
	}
	free := int64((1-reserve)*float64(info.Config.MaxBytes)) - int64(info.State.Bytes)
	if info.State.Msgs == 0 {
		return free, nil
	}
	first := info.State.LastSeq // the next event that a protected consumer needs
	for _, c := range p.e.cfg.Consumers {
		if c.Protect {
			floor, err := floor(ctx, p.e.store, c.Name)
			if err != nil {
				return 0, err
			}
			first = min(first, floor)
		}
	}
	read := float64(first+1-min(first+1, info.State.FirstSeq)) / float64(info.State.LastSeq-info.State.FirstSeq+1)
	return free + int64(read*float64(info.State.Bytes)*(1-reserve)), nil // events differ in size: what was read counts a little less
}

// waiting reports whether publishers wait now.
func (p *pressure) waiting() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.blocked }
