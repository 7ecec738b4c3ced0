package group

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// owned is the record own.<consumer>.<partition>.
type owned struct {
	Owner string `json:"owner"` // a member's id; empty: nobody
}

// view is what a member knows of the others.
type view struct {
	members map[string]*other
	owners  []holding
	phase   []byte
	synced  bool
	since   time.Time // when it was first complete
}

type other struct {
	owner eventlog.Owner
	rev   uint64
	seen  time.Time // when rev was first seen, on this member's clock
}

type holding struct {
	id  string
	rev uint64
}

func newView(partitions int) *view {
	return &view{members: map[string]*other{}, owners: make([]holding, partitions)}
}

func (v *view) set(p int, id string, rev uint64) {
	if rev >= v.owners[p].rev {
		v.owners[p] = holding{id, rev}
	}
}

// of lists the partitions that a member owns.
func (v *view) of(id string) (share []int) {
	for p, o := range v.owners {
		if o.id == id {
			share = append(share, p)
		}
	}
	return share
}

// holders names the members that own something.
func (v *view) holders() string {
	var names []string
	for id, m := range v.members {
		if len(v.of(id)) > 0 {
			names = append(names, m.owner.String())
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// free lists the partitions that no member owns.
func (v *view) free() (free []int) {
	for p, o := range v.owners {
		if v.members[o.id] == nil {
			free = append(free, p)
		}
	}
	return free
}

// plan says what a member should give up, and what it should take of what is free now. Members that share hold as many partitions each,
// but for one; who must be single is the owner of partition 0.
func (v *view) plan(id string, single bool) (give, take []int) {
	mine, free := v.of(id), v.free()
	if single {
		switch holder := v.owners[0].id; {
		case holder == id, v.members[holder] == nil:
			return nil, free
		default:
			return mine, nil
		}
	}
	ids := make([]string, 0, len(v.members))
	for m := range v.members {
		ids = append(ids, m)
	}
	// Who has more comes first, so that the odd partition stays where it is.
	slices.SortFunc(ids, func(a, b string) int {
		if d := len(v.of(b)) - len(v.of(a)); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	rank := slices.Index(ids, id)
	quota := len(v.owners) / len(ids)
	if rank < len(v.owners)%len(ids) {
		quota++
	}
	if len(mine) > quota {
		return mine[quota:], nil
	}
	n := min(quota-len(mine), len(free))
	at := 0
	if n > 0 { // members that take at the same time begin at different places
		at = rank * len(free) / len(ids)
	}
	for i := range n {
		take = append(take, free[(at+i)%len(free)])
	}
	slices.Sort(take)
	return nil, take
}

// watch tells the loop what happens in the bucket, until ctx ends.
func (m *member) watch(ctx context.Context, news chan<- func(*view)) {
	tell := func(f func(*view)) {
		select {
		case news <- f:
		case <-ctx.Done():
		}
	}
	for ctx.Err() == nil {
		seen := map[string]bool{}
		listing := true
		stale := time.NewTimer(2 * eventlog.LeaseTTL)
		watching, stop := context.WithCancel(ctx)
		go func() { // a watch on a server that is gone says nothing, not even this member's own renewals
			select {
			case <-stale.C:
				stop()
			case <-watching.Done():
			}
		}()
		_ = m.State.Follow(watching, []string{m.members() + "*", "own." + m.Consumer + ".*", m.phase()}, func(key string, value []byte, rev uint64) {
			if key == "" {
				listing = false
				tell(func(v *view) { v.complete(seen) })
				return
			}
			id, of := strings.CutPrefix(key, m.members())
			if of && id == m.id {
				stale.Reset(2 * eventlog.LeaseTTL)
			}
			if of && listing && value != nil {
				seen[id] = true
			}
			now := time.Now()
			tell(func(v *view) { v.learn(m.Group, key, value, rev, now) })
		})
		stop()
		stale.Stop()
		select {
		case <-ctx.Done():
		case <-time.After(tick):
		}
	}
}

// learn takes in one record; value nil: it was deleted.
func (v *view) learn(g *Group, key string, value []byte, rev uint64, now time.Time) {
	if key == g.phase() {
		v.phase = value
		return
	}
	if id, ok := strings.CutPrefix(key, g.members()); ok {
		var o eventlog.Owner
		if value == nil || json.Unmarshal(value, &o) != nil || o.Nonce == "" {
			if have := v.members[id]; have != nil && rev > have.rev {
				delete(v.members, id)
			}
			return
		}
		if have := v.members[id]; have == nil || rev > have.rev {
			v.members[id] = &other{o, rev, now}
		}
		return
	}
	_, token, _ := strings.Cut(strings.TrimPrefix(key, "own."), ".")
	p, err := strconv.Atoi(token)
	if err != nil || p < 0 || p >= len(v.owners) {
		return
	}
	var o owned
	_ = json.Unmarshal(value, &o) // what cannot be read is nobody's
	v.set(p, o.Owner, rev)
}

// complete ends a listing: members that it did not name are gone.
func (v *view) complete(seen map[string]bool) {
	for id := range v.members {
		if !seen[id] {
			delete(v.members, id)
		}
	}
	if !v.synced {
		v.synced, v.since = true, time.Now()
	}
}
