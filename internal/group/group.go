// Package group shares a consumer's partitions among the processes that run it. Each process is a member; a partition has at most one
// owner, which alone delivers its events and moves its position.
//
// Everything is kept in the state bucket, by compare-and-set:
//
//	lease.member.<consumer>.<id>   a member, renewed while it lives
//	own.<consumer>.<partition>     the member that owns the partition, or nobody
//
// A member that has not renewed for eventlog.LeaseTTL, on the clock of whoever watches it, is expelled: its record is deleted on
// the condition that it did not renew meanwhile. An expelled member learns it by its next renewal, and by its own clock before that
// (Lease.Fresh); what it still writes to a position is refused, because whoever owns the partition by then has written to it first.
package group

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// ErrExpelled says that the others have given this member up: it did not renew its record in time.
var ErrExpelled = errors.New("this member was away for too long and others have taken its partitions")

// Group is what a process needs to be a member.
type Group struct {
	State      *eventlog.State
	Consumer   string
	Partitions int
	Alone      bool // no other process can be there: records of others are left over
	Log        *slog.Logger

	// Single says, of the consumer's phase record (nil: none yet), whether one member must own every partition for now.
	Single func(phase []byte) bool
	// Work delivers the events of the share until ctx ends, then finishes what is under way, saves and returns nil; it ends the membership
	// by any error. The lease is the member's.
	Work func(ctx context.Context, share []int, l *eventlog.Lease) error
	// Idle is told when nothing is left for this member, and whose the partitions are.
	Idle func(owners string)
}

// joining is how long a new member listens before it takes partitions: members that start together should not take them from each other.
const joining = 100 * time.Millisecond

// settling is the least time between two partitions given up for balance: one change for several members that come together.
const settling = 400 * time.Millisecond

const tick = 200 * time.Millisecond

func (g *Group) own(p int) string       { return fmt.Sprintf("own.%s.%d", g.Consumer, p) }
func (g *Group) members() string        { return "lease.member." + g.Consumer + "." }
func (g *Group) phase() string          { return "pos." + g.Consumer + ".phase" }
func (g *Group) lease(id string) string { return "member." + g.Consumer + "." + id }

// Run is a membership: it joins, works, and leaves when ctx ends (nil), when Work fails (its error) or when it was expelled (ErrExpelled).
func (g *Group) Run(ctx context.Context) error {
	id := strings.ToLower(rand.Text()[:10])
	l, err := eventlog.Acquire(ctx, g.State, g.lease(id), "run", false)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	m := &member{Group: g, id: id, lease: l, view: newView(g.Partitions)}
	defer m.leave()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	news := make(chan func(*view), 256)
	go m.watch(watching, news)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return m.stopWork(nil)
		case <-l.Lost():
			return errors.Join(fmt.Errorf("%w: %w", ErrExpelled, l.Err()), m.stopWork(ErrExpelled))
		case err := <-m.ended():
			m.work = nil
			return err
		case tell := <-news:
			tell(m.view)
			for more := true; more; {
				select {
				case tell := <-news:
					tell(m.view)
				default:
					more = false
				}
			}
		case <-t.C:
		}
		if err := m.step(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// member is one membership.
type member struct {
	*Group
	id    string
	lease *eventlog.Lease
	view  *view
	work  *work
	gave  time.Time // when partitions were last given up for balance
	idle  string
}

// work is Work under way.
type work struct {
	share []int
	stop  context.CancelCauseFunc
	done  chan error
}

func (m *member) ended() <-chan error {
	if m.work == nil {
		return nil
	}
	return m.work.done
}

// stopWork ends the work and waits for it; cause nil lets it finish in good order.
func (m *member) stopWork(cause error) error {
	if m.work == nil {
		return nil
	}
	m.work.stop(cause)
	err := <-m.work.done
	m.work = nil
	return err
}

func (m *member) startWork(ctx context.Context, share []int) {
	ctx, stop := context.WithCancelCause(ctx)
	w := &work{share: share, stop: stop, done: make(chan error, 1)}
	m.work = w
	m.Log.Info("delivers", "consumer", m.Consumer, "partitions", spans(share), "of", m.Partitions, "members", len(m.view.members))
	go func() { w.done <- m.Work(ctx, share, m.lease) }()
}

// step brings what this member does closer to what it should do.
func (m *member) step(ctx context.Context) error {
	v := m.view
	now := time.Now()
	if !v.synced || now.Sub(v.since) < joining || v.members[m.id] == nil {
		return nil
	}
	if err := m.expel(ctx, now); err != nil {
		return nil // the next step tries again
	}
	give, take := v.plan(m.id, m.Single != nil && m.Single(v.phase))
	if len(give) > 0 && now.Sub(m.gave) >= settling {
		m.gave = now
		if err := m.stopWork(nil); err != nil {
			return err
		}
		m.swap(ctx, give, "")
	}
	if len(take) > 0 {
		m.swap(ctx, take, m.id)
	}
	mine := v.of(m.id)
	if m.work != nil && !slices.Equal(mine, m.work.share) {
		if err := m.stopWork(nil); err != nil {
			return err
		}
	}
	if m.work == nil && len(mine) > 0 {
		m.idle = ""
		m.startWork(ctx, mine)
	}
	if others := v.holders(); m.work == nil && others != "" && m.idle != others && m.Idle != nil {
		m.idle = others
		m.Idle(others)
	}
	return nil
}

// expel removes members that have not renewed, so that their partitions are free.
func (m *member) expel(ctx context.Context, now time.Time) error {
	for id, o := range m.view.members {
		if id == m.id || (!m.Alone && !o.owner.Gone() && now.Sub(o.seen) <= eventlog.LeaseTTL) {
			continue
		}
		err := m.State.Remove(ctx, m.members()+id, o.rev)
		if errors.Is(err, eventlog.ErrChanged) { // it lives, or another was faster: the watch tells
			o.seen = now
			continue
		}
		if err != nil {
			return err
		}
		m.Log.Info("a member is gone", "consumer", m.Consumer, "member", o.owner)
		delete(m.view.members, id)
	}
	return nil
}

// swap gives partitions an owner, all or none; a lost race is seen by the watch.
func (m *member) swap(ctx context.Context, partitions []int, owner string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventlog.LeaseTTL/2)
	defer cancel()
	writes := make([]eventlog.Write, len(partitions))
	for i, p := range partitions {
		writes[i] = eventlog.Write{Key: m.own(p), Value: owned{owner}, Revision: m.view.owners[p].rev}
	}
	revs, err := m.State.SwapAll(ctx, writes)
	if err != nil {
		return
	}
	for i, p := range partitions {
		m.view.set(p, owner, revs[i])
	}
}

// leave gives everything up at once, so that the others need not wait.
func (m *member) leave() {
	_ = m.stopWork(ErrExpelled) // nothing, unless something went wrong
	if mine := m.view.of(m.id); m.lease.Err() == nil && len(mine) > 0 {
		m.swap(context.Background(), mine, "")
	}
	m.lease.Remove()
}

// spans writes 0,1,2,5 as 0-2,5.
func spans(share []int) string {
	var b strings.Builder
	for i := 0; i < len(share); {
		j := i
		for j+1 < len(share) && share[j+1] == share[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d", share[i])
		if j > i {
			fmt.Fprintf(&b, "-%d", share[j])
		}
		i = j + 1
	}
	return b.String()
}
