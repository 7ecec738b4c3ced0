package eventlog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// LeaseTTL is how long a lease holds without renewal, on the observer's monotonic clock.
const LeaseTTL = 5 * time.Second

// Owner is the record of a lease.
type Owner struct {
	Host  string `json:"host"`
	PID   int    `json:"pid"`
	Nonce string `json:"nonce"` // one per process start
	What  string `json:"what"`  // run, import, …
	Beat  uint64 `json:"beat"`  // renewals
}

var process = func() Owner {
	host, _ := os.Hostname()
	return Owner{Host: host, PID: os.Getpid(), Nonce: rand.Text()}
}()

func (o Owner) String() string { return fmt.Sprintf("process %d on %s (%s)", o.PID, o.Host, o.What) }

// Gone reports whether the owner is certainly gone: a former process of this host.
func (o Owner) Gone() bool {
	if o.Host != process.Host || o.Nonce == process.Nonce {
		return false
	}
	return o.PID == process.PID || errors.Is(syscall.Kill(o.PID, 0), syscall.ESRCH)
}

// ErrHeld says that somebody else holds the lease.
var ErrHeld = errors.New("held by somebody else")

// Lease is the right to write under a name. It is a courtesy that keeps writers apart; what fences them is the log itself.
type Lease struct {
	state *State
	key   string
	owner Owner
	rev   uint64
	stop  context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex
	lost    error
	gone    chan struct{}
	renewed time.Time // when the last renewal that succeeded was asked for
}

// held are the leases that this process renews now: a record of its own that is not among them is what was left of one that it lost.
var held sync.Map

// Acquire takes the lease of a name. When another live process holds it, it waits until that one has not renewed for LeaseTTL; with
// wait false it returns ErrHeld at once. A lease that is free and cannot be written for LeaseTTL is an error.
func Acquire(ctx context.Context, s *State, name, what string, wait bool) (*Lease, error) {
	key := "lease." + name
	me := process
	me.What = what
	var seen uint64
	var since, failing time.Time
	for {
		var o Owner
		rev, err := s.Get(ctx, key, &o)
		if err != nil && wait && ctx.Err() == nil { // no leader for the moment: who stands by goes on standing by
			select {
			case <-ctx.Done():
			case <-time.After(LeaseTTL / 20):
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		_, ours := held.Load(key)
		free := rev == 0 || o.Nonce == "" || (o.Nonce == process.Nonce && !ours) || o.Gone() || (rev == seen && time.Since(since) > LeaseTTL)
		if free {
			asked := time.Now()
			rev, err = s.Swap(ctx, key, me, rev)
			if err == nil {
				return hold(s, key, me, rev, asked), nil
			}
			if errors.Is(err, ErrChanged) {
				continue
			}
			if failing.IsZero() {
				failing = time.Now()
			}
			if !wait || ctx.Err() != nil || time.Since(failing) > LeaseTTL {
				return nil, err
			}
			select {
			case <-ctx.Done():
			case <-time.After(LeaseTTL / 20):
			}
			continue
		}
		if !wait {
			return nil, fmt.Errorf("%s: %w: %s", name, ErrHeld, o)
		}
		if rev != seen {
			seen, since = rev, time.Now()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w: %s: %w", name, ErrHeld, o, context.Cause(ctx))
		case <-time.After(LeaseTTL / 20):
		}
	}
}

func hold(s *State, key string, o Owner, rev uint64, asked time.Time) *Lease {
	ctx, stop := context.WithCancel(context.Background())
	l := &Lease{state: s, key: key, owner: o, rev: rev, stop: stop, done: make(chan struct{}), gone: make(chan struct{}), renewed: asked}
	held.Store(key, l)
	go l.renew(ctx)
	return l
}

func (l *Lease) renew(ctx context.Context) {
	defer close(l.done)
	defer held.CompareAndDelete(l.key, l)
	last := l.renewed
	t := time.NewTicker(LeaseTTL / 4)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		l.owner.Beat++
		asked := time.Now()
		try, cancel := context.WithTimeout(ctx, LeaseTTL/4)
		rev, err := l.state.Swap(try, l.key, l.owner, l.rev)
		cancel()
		switch {
		case err == nil:
			l.rev, last = rev, l.renewal(asked)
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrChanged):
			// A renewal whose answer got lost is ours, too.
			var o Owner
			if rev, err := l.state.Get(ctx, l.key, &o); err == nil && o.Nonce == l.owner.Nonce {
				l.rev, last = rev, l.renewal(asked)
				continue
			}
			l.lose(fmt.Errorf("%s: %w", l.key, ErrHeld))
			return
		case time.Since(last) > LeaseTTL:
			l.lose(fmt.Errorf("%s: not renewed for %v: %w", l.key, LeaseTTL, err))
			return
		}
	}
}

func (l *Lease) lose(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = err
		close(l.gone)
	}
}

func (l *Lease) renewal(asked time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = asked
	return asked
}

// Fresh reports whether nobody else can have taken the lease yet. A process that was stopped for longer (a paused machine) learns it here,
// before anything else tells it.
func (l *Lease) Fresh() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost == nil && time.Since(l.renewed) < LeaseTTL
}

// Lost is closed when the lease is no longer ours; Err says why.
func (l *Lease) Lost() <-chan struct{} { return l.gone }

// Err returns why the lease was lost, or nil.
func (l *Lease) Err() error { l.mu.Lock(); defer l.mu.Unlock(); return l.lost }

// Release gives the lease up at once, so that a successor need not wait.
func (l *Lease) Release() {
	l.stop()
	<-l.done
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if l.Err() == nil {
		_, _ = l.state.Swap(ctx, l.key, Owner{}, l.rev) // best effort: the TTL does it otherwise
	}
}

// Remove gives the lease up and removes its record: for names that do not come back.
func (l *Lease) Remove() {
	l.stop()
	<-l.done
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if l.Err() == nil {
		_ = l.state.Remove(ctx, l.key, l.rev) // best effort: the TTL does it otherwise
	}
}
