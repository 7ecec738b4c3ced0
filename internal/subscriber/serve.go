package subscriber

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// Serve admits the subscribers to the broker and answers their requests, until ctx ends. It obeys the records in the state bucket as they
// change. Several bridges at one event log may serve at the same time.
func Serve(ctx context.Context, b *broker.Broker, store *eventlog.Store, log *slog.Logger) error {
	nc, err := b.Connect("subscribers", "")
	if err != nil {
		return err
	}
	defer nc.Close()
	h := &house{b: b, nc: nc, store: store, log: log, desks: map[string]*desk{}, wide: map[string]bool{}}
	defer h.close()
	return h.run(ctx)
}

// house is the subscribers that are served.
type house struct {
	b     *broker.Broker
	nc    *nats.Conn
	store *eventlog.Store
	log   *slog.Logger
	desks map[string]*desk
	wide  map[string]bool // those whose durable is wider than their ceiling
}

// Periods.
const (
	again     = time.Second      // after an error of the server
	lookEvery = 10 * time.Second // at the durables, and at the list as a whole
)

func (h *house) run(ctx context.Context) error {
	type change struct{}
	changes := make(chan change, 1)
	go func() {
		for ctx.Err() == nil {
			err := watch(ctx, h.store, func() {
				select {
				case changes <- change{}:
				default: // one is waiting already
				}
			})
			if ctx.Err() == nil {
				h.log.Warn("watch of subscribers ended, begins again", "error", err)
				wait(ctx, again)
			}
		}
	}()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := h.update(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("subscribers", "error", err)
			wait(ctx, again)
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
		case <-tick.C:
		}
	}
}

// watch calls f for every record that there is or that changes, until ctx or the watch ends.
func watch(ctx context.Context, store *eventlog.Store, f func()) error {
	kv, err := store.JS.KeyValue(ctx, eventlog.BucketState)
	if err != nil {
		return err
	}
	w, err := kv.Watch(ctx, keyPrefix+">", jetstream.MetaOnly())
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-w.Updates():
			if !ok {
				return errors.New("the watch was closed")
			}
			f()
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// update brings accounts and desks to the records.
func (h *house) update(ctx context.Context) error {
	all, err := h.list(ctx)
	if err != nil {
		return err
	}
	want := map[string]Subscriber{}
	for _, s := range all {
		if h.fit(ctx, s) {
			want[s.Name] = s
		}
	}
	for name, d := range h.desks {
		if s, ok := want[name]; !ok || !same(s, d.sub) {
			d.close()
			delete(h.desks, name)
		}
	}
	var failed error
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if h.desks[name] != nil {
			continue
		}
		d := &desk{sub: want[name], nc: h.nc, store: h.store, log: h.log}
		if err := d.open(ctx); err != nil {
			failed = errors.Join(failed, fmt.Errorf("subscriber %s: %w", name, err))
			continue
		}
		h.desks[name] = d
	}
	if h.b.Embedded() { // last, so that whoever can log in is answered
		var accounts []broker.Account
		for _, name := range slices.Sorted(maps.Keys(want)) {
			accounts = append(accounts, want[name].Account())
		}
		failed = errors.Join(failed, h.b.SetAccounts(accounts))
	}
	return failed
}

// list returns the records. A list that was cut short, by a server that went away or by our own end, must not turn anybody out: who is
// served and is not in it is asked for by name.
func (h *house) list(ctx context.Context) ([]Subscriber, error) {
	all, err := List(ctx, h.store.State)
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	for _, s := range all {
		listed[s.Name] = true
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(append(h.b.Accounts(), slices.Collect(maps.Keys(h.desks))...)))) {
		if listed[name] {
			continue
		}
		s, err := Get(ctx, h.store.State, name)
		switch {
		case err == nil:
			all = append(all, s)
		case !errors.Is(err, ErrUnknown):
			return nil, err
		}
	}
	return all, nil
}

// fit reports whether a subscriber may be let in, and says once when not.
func (h *house) fit(ctx context.Context, s Subscriber) bool {
	err := s.Check() // the record may be written by hand
	if err == nil {
		err = look(ctx, h.store, s)
		if err != nil && !errors.Is(err, errWide) {
			return !h.wide[s.Name] // without a durable there is nothing to receive; without an answer things stay as they are
		}
	}
	if err != nil && !h.wide[s.Name] {
		h.log.Error("subscriber is not let in", "name", s.Name, "error", err)
	}
	h.wide[s.Name] = err != nil
	return err == nil
}

// same reports whether the desk of a record serves another one as well: a new password is the broker's business.
func same(a, b Subscriber) bool {
	a.Hash, b.Hash, a.Rotated, b.Rotated = "", "", time.Time{}, time.Time{}
	return reflect.DeepEqual(a, b)
}

func (h *house) close() {
	for _, d := range h.desks {
		d.close()
	}
}

// HomeAccount asks the server which account a connection is logged in to.
func HomeAccount(ctx context.Context, nc *nats.Conn) (string, error) {
	m, err := nc.RequestWithContext(ctx, "$SYS.REQ.USER.INFO", nil)
	if err != nil {
		return "", fmt.Errorf("ask the server for the account of this connection: %w", err)
	}
	var a struct {
		Data struct {
			Account string `json:"account"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil || strings.TrimSpace(a.Data.Account) == "" {
		return "", errors.New("the server does not tell the account of this connection")
	}
	return a.Data.Account, nil
}
