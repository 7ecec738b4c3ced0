package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stixbridge/stixbridge/internal/config"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/intake"
)

// known is the record known.<name>: a producer or consumer that ran here.
type known struct {
	Kind string    `json:"kind"`
	Role string    `json:"role"`
	Time time.Time `json:"time"`
}

// None as a value of was says that a name is new although another of its kind is gone.
const None = "none"

// adopt remembers that a name runs here.
func (e *Engine) adopt(ctx context.Context, name, kind, role string) error {
	var k known
	rev, err := e.store.State.Get(ctx, "known."+name, &k)
	if err != nil || rev > 0 && k.Kind == kind && k.Role == role {
		return err
	}
	_, err = e.store.State.Put(ctx, "known."+name, known{kind, role, time.Now().UTC()})
	return err
}

// orphans lists names that ran here and are no longer configured, with their records.
func (e *Engine) orphans(ctx context.Context) (map[string]known, error) {
	keys, err := e.store.State.Keys(ctx, "known.")
	if err != nil {
		return nil, err
	}
	all := map[string]known{}
	for _, key := range keys {
		name := strings.TrimPrefix(key, "known.")
		if e.configured(name) {
			continue
		}
		var k known
		if rev, err := e.store.State.Get(ctx, key, &k); err != nil {
			return nil, err
		} else if rev > 0 {
			all[name] = k
		}
	}
	return all, nil
}

func (e *Engine) configured(name string) bool {
	return slices.ContainsFunc(e.cfg.Producers, func(p config.Producer) bool { return p.Name == name }) ||
		slices.ContainsFunc(e.cfg.Consumers, func(c config.Consumer) bool { return c.Name == name })
}

// ErrRenamed says that a configuration looks like a renaming that it does not name.
var ErrRenamed = errors.New("looks like a renaming")

// rename carries out `was`, and refuses a new name that looks like an old one renamed: it would import or deliver everything again.
func (e *Engine) rename(ctx context.Context) error {
	gone, err := e.orphans(ctx)
	if err != nil {
		return err
	}
	type named struct{ name, was, kind, role, place string }
	var all []named
	for _, p := range e.cfg.Producers {
		all = append(all, named{p.Name, p.Was, p.Kind, "producer", p.Place()})
	}
	for _, c := range e.cfg.Consumers {
		all = append(all, named{c.Name, c.Was, c.Kind, "consumer", c.Place()})
	}
	var errs []error
	for _, n := range all {
		rev, err := e.store.State.Get(ctx, "known."+n.name, &known{})
		if err != nil {
			return err
		}
		if rev > 0 {
			continue // ran here under this name; a `was` is done
		}
		if old, ok := gone[n.was]; ok && n.was != None {
			if old.Kind != n.kind {
				errs = append(errs, fmt.Errorf("%s: %s %s: was: %s names one of kind %s, this is kind %s", n.place, n.role, n.name, n.was, old.Kind, n.kind))
				continue
			}
			if err := e.move(ctx, n.was, n.name); err != nil {
				return err
			}
			e.log.Info("renamed", "from", n.was, "to", n.name)
			continue
		}
		if n.was == None {
			continue
		}
		for name, k := range gone {
			if k.Kind == n.kind && k.Role == n.role {
				errs = append(errs, fmt.Errorf("%s: %s %s is new and %s of the same kind is gone: %w; add `was: %s` to keep its position, or `was: none` if they are different",
					n.place, n.role, n.name, name, ErrRenamed, name))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// move gives what is kept under an old name to a new one. A crash in between is mended by the same configuration: each step may be repeated.
func (e *Engine) move(ctx context.Context, from, to string) error {
	st := e.store.State
	prefixes := []string{"pos." + from + ".", "plugin." + from + ".", "replay." + from + ".", "replayed." + from + "."}
	for _, p := range prefixes {
		keys, err := st.Keys(ctx, p)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := e.moveKey(ctx, k, strings.Replace(k, "."+from+".", "."+to+".", 1)); err != nil {
				return err
			}
		}
	}
	if err := e.moveObjects(ctx, from, to); err != nil { // of a producer or an enricher; a sink asserts nothing
		return err
	}
	for _, k := range []string{"cursor.", "producer.", "paused.", "known."} {
		if err := e.moveKey(ctx, k+from, k+to); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) moveKey(ctx context.Context, from, to string) error {
	var v json.RawMessage
	rev, err := e.store.State.Get(ctx, from, &v)
	if err != nil || rev == 0 {
		return err
	}
	if _, err := e.store.State.Put(ctx, to, v); err != nil {
		return err
	}
	return e.store.State.Delete(ctx, from)
}

// moveObjects writes what the old producer asserts under the new one's name, so that a first read of the same source is silent. The old
// name's checkpoint stays, at the end of the log: what it said there is dealt with, and its objects must not come back.
func (e *Engine) moveObjects(ctx context.Context, from, to string) error {
	// A crash may have left events that are not projected yet.
	if err := e.as(ctx, from, "rename", true, func(*intake.Intake) error { return nil }); err != nil {
		return err
	}
	check, err := e.store.Latest.Checkpoint(ctx, from)
	if err != nil || check.Seq == 0 {
		return err
	}
	var batch []*nats.Msg
	flush := func() error {
		_, err := eventlog.Commit(ctx, e.store.NC, batch)
		batch = nil
		return err
	}
	var moved []eventlog.Entry
	err = e.store.Latest.Scan(ctx, "rename", eventlog.LatestFilter("*", from), 0, false, func(n eventlog.Entry) error {
		moved = append(moved, eventlog.Entry{ID: n.ID, Subject: n.Subject})
		n.Producer = to
		batch = append(batch, n.Message())
		if len(batch) >= 500 {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, check.Seq, err = e.store.Log.Bounds(ctx)
	if err != nil {
		return err
	}
	batch = append(batch, check.Message(from))
	check.EventSeq = 0 // the fence is the new name's: it has no event yet
	batch = append(batch, check.Message(to))
	if err := flush(); err != nil {
		return err
	}
	for _, n := range moved {
		if err := e.store.Latest.Drop(ctx, n.Type, n.ID, from); err != nil {
			return err
		}
	}
	return nil
}
