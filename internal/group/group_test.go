package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

const parts = 16

func state(t *testing.T) *eventlog.State {
	t.Helper()
	b, err := broker.Open(t.Context(), broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", MaxStore: 1 << 30, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	s, err := eventlog.Provision(t.Context(), b.Conn(), b.JS(), eventlog.Layout{Replicas: 1, MaxBytes: 1 << 20, MaxAge: time.Hour, MaxObjects: 1000, Partitions: parts})
	if err != nil {
		t.Fatal(err)
	}
	return s.State
}

// floor is where members work: it fails the test when two own one partition at once.
type floor struct {
	t      *testing.T
	state  *eventlog.State
	single bool
	mu     sync.Mutex
	owner  [parts]string
}

func (f *floor) count(name string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.owner {
		if o == name {
			n++
		}
	}
	return n
}

// join starts a member and returns what makes it leave.
func (f *floor) join(name string) (leave func()) {
	ctx, stop := context.WithCancel(f.t.Context())
	g := &Group{State: f.state, Consumer: "soc", Partitions: parts, Log: slog.New(slog.DiscardHandler), Single: func([]byte) bool { return f.single },
		Work: func(ctx context.Context, share []int, _ *eventlog.Lease) error {
			f.mu.Lock()
			for _, p := range share {
				if f.owner[p] != "" {
					f.t.Errorf("partition %d is %s's and %s's", p, f.owner[p], name)
				}
				f.owner[p] = name
			}
			f.mu.Unlock()
			<-ctx.Done()
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, p := range share {
				f.owner[p] = ""
			}
			return nil
		}}
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	var once sync.Once
	leave = func() {
		once.Do(func() {
			stop()
			if err := <-done; err != nil {
				f.t.Errorf("%s: %v", name, err)
			}
		})
	}
	f.t.Cleanup(leave)
	return leave
}

func (f *floor) await(what string, cond func() bool) time.Duration {
	f.t.Helper()
	began := time.Now()
	for !cond() {
		if time.Since(began) > 30*time.Second {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.t.Fatalf("%s: owners %q", what, f.owner)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(began)
}

func TestMembersShareThePartitionsEvenly(t *testing.T) {
	f := &floor{t: t, state: state(t)}
	names := []string{"a", "b", "c", "d", "e"}
	var leave []func()
	for _, n := range names {
		leave = append(leave, f.join(n))
	}
	even := func(names ...string) func() bool {
		return func() bool {
			sum := 0
			for _, n := range names {
				c := f.count(n)
				if c < parts/len(names) || c > parts/len(names)+1 {
					return false
				}
				sum += c
			}
			return sum == parts
		}
	}
	t.Logf("five that come together are even after %v", f.await("five", even(names...)))
	leave[1]()
	t.Logf("one leaves: even after %v", f.await("four", even("a", "c", "d", "e")))
	leave[0]()
	leave[3]()
	t.Logf("two leave: even after %v", f.await("two", even("c", "e")))
	f.join("f")
	t.Logf("one comes: even after %v", f.await("three", even("c", "e", "f")))
}

func TestSingleConsumerHasOneOwnerAndTheNextTakesOver(t *testing.T) {
	f := &floor{t: t, state: state(t), single: true}
	var leave []func()
	names := []string{"a", "b", "c"}
	for _, n := range names {
		leave = append(leave, f.join(n))
	}
	all := func() (who int) {
		return slices.IndexFunc(names, func(n string) bool { return f.count(n) == parts })
	}
	f.await("one has all", func() bool { return all() >= 0 })
	first := all()
	leave[first]()
	t.Logf("the next has all after %v", f.await("the next has all", func() bool { return all() >= 0 && all() != first }))
}

func TestMemberThatDoesNotRenewIsExpelledAndLearnsIt(t *testing.T) {
	st := state(t)
	ended := make(chan error, 1)
	working := make(chan []int, 10)
	g := &Group{State: st, Consumer: "soc", Partitions: parts, Log: slog.New(slog.DiscardHandler),
		Work: func(ctx context.Context, share []int, _ *eventlog.Lease) error {
			working <- share
			<-ctx.Done()
			return context.Cause(ctx)
		}}
	go func() { ended <- g.Run(t.Context()) }()
	<-working
	// Another member's view of one that is silent: its record is deleted as it was last seen.
	keys, err := st.Keys(t.Context(), g.members())
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	for { // it renews meanwhile
		var o eventlog.Owner
		rev, err := st.Get(t.Context(), keys[0], &o)
		if err != nil {
			t.Fatal(err)
		}
		if err = st.Remove(t.Context(), keys[0], rev); err == nil {
			break
		}
		if !errors.Is(err, eventlog.ErrChanged) {
			t.Fatal(err)
		}
	}
	if err := <-ended; !errors.Is(err, ErrExpelled) {
		t.Fatalf("it ended with %v", err)
	}
}

func TestPlan(t *testing.T) {
	view := func(owners ...string) *view {
		v := newView(len(owners))
		for p, id := range owners {
			v.owners[p] = holding{id: id, rev: 1}
			if id != "" && id != "gone" {
				v.members[id] = &other{}
			}
		}
		return v
	}
	for _, c := range []struct {
		name       string
		owners     []string
		members    []string
		single     bool
		give, take string
	}{
		{"alone, it takes all", []string{"", "", "", ""}, []string{"me"}, false, "", "0-3"},
		{"what a dead member owned is free", []string{"gone", "me", "gone", "me"}, []string{"me"}, false, "", "0,2"},
		{"for a second one, half is given up", []string{"me", "me", "me", "me"}, []string{"me", "you"}, false, "2-3", ""},
		{"who has its part takes nothing more", []string{"me", "me", "", ""}, []string{"me", "you"}, false, "", ""},
		{"the odd one stays where it is", []string{"you", "me", "me", "you", "me"}, []string{"me", "you"}, false, "", ""},
		{"more members than partitions: one is left over", []string{"a", "b"}, []string{"a", "b", "me"}, false, "", ""},
		{"a single owner takes what is free", []string{"me", "", "gone", "me"}, []string{"me", "you"}, true, "", "1-2"},
		{"who does not hold partition 0 of a single consumer gives all up", []string{"you", "me", "me", "you"}, []string{"me", "you"}, true, "1-2", ""},
		{"partition 0 of a single consumer decides", []string{"gone", "you", "gone", "you"}, []string{"me", "you"}, true, "", "0,2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := view(c.owners...)
			for _, m := range c.members {
				v.members[m] = &other{}
			}
			give, take := v.plan("me", c.single)
			if got, want := fmt.Sprintf("%s|%s", spans(give), spans(take)), c.give+"|"+c.take; got != want {
				t.Errorf("gives and takes %s, want %s", got, want)
			}
		})
	}
}
