package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/stix"
)

// change decides one change and adds its events to the group.
func (in *Intake) change(g *group, it *item, states map[string]*pending) error {
	c := it.change
	if c.SourceEvent != "" {
		if in.repeated(c.SourceEvent) {
			in.Counts.add("duplicate", c.Object.Type(), 1)
			return nil
		}
		c.Context.SourceEvent = c.SourceEvent
	}
	o := c.Object
	key := it.keys[0]
	was := present(states, key)
	switch c.Op {
	case bridge.Delete, bridge.Retract, bridge.Expire:
		return in.removal(g, c, key, was)
	}
	if in.opt.Validate != nil {
		if err := in.opt.Validate(o); err != nil {
			return in.Reject(in.ctx, bridge.Rejected{Raw: o.Raw(), Position: c.Context.Bundle + "#" + strconv.Itoa(c.Context.Position), Reason: err.Error()})
		}
	}
	if err := in.renames(g, c, it.keys[1:it.states], states); err != nil {
		return err
	}
	level := in.markings.TLP(o)
	if level == stix.Unmarked {
		level = in.opt.DefaultTLP
	}
	if c.AtLeast != nil && (level == stix.Unmarked || c.AtLeast.Rank() > level.Rank()) {
		level = *c.AtLeast
	}
	sum := o.Digest()
	digest := hex.EncodeToString(sum[:16])
	held := was.Known() && (was.Asserted() || was.Op == bridge.Expire)
	if held && was.Digest == digest && was.TLP == level && (c.Op != bridge.Merge || len(c.Sources) == 0) {
		in.Counts.add("unchanged", o.Type(), 1)
		return nil
	}
	op := c.Op
	switch {
	case op == bridge.Merge:
	case held:
		op = bridge.Update
	case op != bridge.Update:
		op = bridge.Create
	}
	ctx := c.Context
	ctx.Backfill = ctx.Backfill || in.backlog.Load()
	ctx.Prev = 0
	if was.Known() {
		ctx.Prev = was.Seq
	}
	ctx.ReversePatch = in.reverse(c, o, was, held, level)
	if held && level.Rank() > was.TLP.Rank() {
		// Whoever may see the old level only must learn that the object is no longer theirs, before the new version is there.
		r := bridge.Context{Reason: "reclassified", Prev: was.Seq, Next: true}
		if err := in.emit(g, event{subject: retracting(was), state: was, key: key, ctx: r, passing: true}); err != nil {
			return err
		}
	}
	for _, s := range c.Sources {
		ctx.Sources = append(ctx.Sources, s.ID())
	}
	e := was
	e.Subject = eventlog.Subject{Producer: in.opt.Producer, TLP: level, Op: op, Type: o.Type(), Partition: eventlog.Partition(o.ID(), in.store.Log.Partitions())}
	e.ID, e.Digest, e.ValidUntil, e.Alias, e.Data, e.Blob = o.ID(), digest, o.ValidUntil(), c.Alias, o.Raw(), ""
	if err := in.emit(g, event{subject: e.Subject, state: e, key: key, ctx: ctx, modified: o.Modified(), source: c.SourceEvent, prev: was.EventID, object: o, whole: true}); err != nil {
		return err
	}
	for _, s := range c.Sources {
		k := eventlog.LatestSubject(safe(s.Type()), s.ID(), in.opt.Producer)
		if from := present(states, k); from.Asserted() && from.Known() && s.ID() != o.ID() {
			gone := bridge.Change{Op: bridge.Delete, Object: s, Context: bridge.Context{Reason: "merged", Into: o.ID(), Origin: c.Context.Origin}}
			if err := in.removal(g, gone, k, from); err != nil {
				return err
			}
		}
	}
	return nil
}

func present(states map[string]*pending, key string) eventlog.Entry {
	if p := states[key]; p != nil {
		return p.entry
	}
	return eventlog.Entry{}
}

// renames retracts what the source now calls by another id.
func (in *Intake) renames(g *group, c bridge.Change, keys []string, states map[string]*pending) error {
	if c.Alias == "" && len(c.OtherIDs) == 0 {
		return nil
	}
	for _, k := range keys {
		old := present(states, k)
		if !old.Known() || !old.Asserted() || old.ID == c.Object.ID() || isSource(c, old.ID) || g.touched[k] {
			continue
		}
		ctx := bridge.Context{Reason: "renamed", NewID: c.Object.ID(), Prev: old.Seq, Origin: c.Context.Origin}
		gone := old
		gone.Op = bridge.Retract
		if err := in.emit(g, event{subject: gone.Subject, state: gone, key: k, ctx: ctx, prev: old.EventID}); err != nil {
			return err
		}
	}
	if c.Alias != "" {
		in.mu.Lock()
		in.aliases[c.Alias] = c.Object.ID()
		in.mu.Unlock()
	}
	return nil
}

func isSource(c bridge.Change, id string) bool {
	for _, s := range c.Sources {
		if s.ID() == id {
			return true
		}
	}
	return false
}

func retracting(was eventlog.Entry) eventlog.Subject {
	s := was.Subject
	s.Op = bridge.Retract
	return s
}

// removal decides a delete, an expiry or a retract that the source or the clock asks for. Its body is the last version on its old tokens.
func (in *Intake) removal(g *group, c bridge.Change, key string, was eventlog.Entry) error {
	o := c.Object
	switch {
	case was.Known() && (was.Op == bridge.Delete || was.Op == bridge.Retract), !was.Known() && !in.opt.Aliases,
		c.Op == bridge.Expire && !was.Asserted():
		in.Counts.add("unchanged", o.Type(), 1)
		return nil
	case c.Op == bridge.Expire && c.Context.Prev != 0 && c.Context.Prev != was.Seq:
		return nil // the clock looked at an older version
	}
	ctx := c.Context
	gone := was
	if was.Known() {
		ctx.Prev = was.Seq
	} else { // an object that the source held before we began to listen
		level := in.markings.TLP(o)
		if level == stix.Unmarked {
			level = in.opt.DefaultTLP
		}
		gone.Subject = eventlog.Subject{Producer: in.opt.Producer, TLP: level, Type: o.Type(), Partition: eventlog.Partition(o.ID(), in.store.Log.Partitions())}
		sum := o.Digest()
		gone.ID, gone.Digest, gone.Data, gone.Alias = o.ID(), hex.EncodeToString(sum[:16]), o.Raw(), c.Alias
		ctx.Prev = 0
	}
	ctx.ReversePatch = nil
	gone.Op = c.Op
	return in.emit(g, event{subject: gone.Subject, state: gone, key: key, ctx: ctx, source: c.SourceEvent, prev: was.EventID, object: o})
}

// reverse returns the patch to the version before, when every version that it describes may be seen at this level.
func (in *Intake) reverse(c bridge.Change, o stix.Object, was eventlog.Entry, held bool, level stix.TLP) json.RawMessage {
	patch := c.Context.ReversePatch
	switch {
	case held && was.TLP.Rank() > level.Rank():
		return nil
	case !held && (len(patch) == 0 || strings.Contains(string(patch), "marking")):
		return nil // the level of the version before is not known
	case len(patch) > 0:
		return patch
	case in.opt.Diff == nil || was.Blob != "":
		return nil
	}
	old, err := stix.Parse(was.Data)
	if err != nil {
		return nil
	}
	patch, err = in.opt.Diff(o, old)
	if err != nil || len(patch) > bridge.MaxContext-1024 {
		return nil
	}
	return patch
}

// fingerprint stands for a source event where there may be many of them.
func fingerprint(sourceEvent string) [16]byte {
	sum := sha256.Sum256([]byte(sourceEvent))
	return [16]byte(sum[:])
}

// repeated reports whether an event of the source was taken since the last cursors, and remembers it.
func (in *Intake) repeated(sourceEvent string) bool {
	if len(in.again) > 0 {
		if _, ok := in.again[fingerprint(sourceEvent)]; ok {
			return true
		}
	}
	if _, ok := in.seen[sourceEvent]; ok {
		return true
	}
	if _, ok := in.before[sourceEvent]; ok {
		return true
	}
	if len(in.seen) >= maxSeen {
		in.before, in.seen = in.seen, map[string]struct{}{}
	}
	in.seen[sourceEvent] = struct{}{}
	return false
}

// maxSeen bounds the memory of source events; beyond it a repeat is judged by content alone.
const maxSeen = 200_000
