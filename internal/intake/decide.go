package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/stix"
)

const (
	groupChanges = 900     // changes that one group takes at most; a change makes up to two events and some more for merges
	groupBytes   = 4 << 20 // object bytes that one group takes at most, but for its first change
)

// pending is the state of an object after an event that is on its way.
type pending struct {
	entry eventlog.Entry
	known bool // entry.Seq is set: the event is stored
}

// group is what is stored as one atomic batch.
type group struct {
	msgs    []*nats.Msg
	after   []*pending // per message: the state it leads to; nil for a retract that is followed by its successor
	keys    []string   // per message: key of the state in overlay
	cursor  json.RawMessage
	at      int // index of the message that carries cursor, -1: none does
	force   bool
	ticket  uint64
	touched map[string]bool // keys in this group
	bytes   int
}

// decide forms groups of what waits and hands them on.
func (in *Intake) decide() error {
	var held *item // taken from the channel, but belongs to the next group
	for {
		var first item
		if held != nil {
			first, held = *held, nil
		} else {
			select {
			case first = <-in.in:
			case <-in.ctx.Done():
				return nil
			}
		}
		first.keys = in.claims(&first) // again, if it was held: a group since may have taught us another name of it
		batch := make([]item, 1, groupChanges)
		batch[0] = first
		keys := make(map[string]struct{}, groupChanges)
		size := len(first.change.Object.Raw())
		claim(&first, keys)
	fill:
		for len(batch) < groupChanges && size < groupBytes {
			select {
			case it := <-in.in:
				it.keys = in.claims(&it)
				if conflicts(&it, keys) {
					held = &it
					break fill
				}
				claim(&it, keys)
				size += len(it.change.Object.Raw())
				batch = append(batch, it)
			default:
				break fill
			}
		}
		g, err := in.form(batch)
		if err != nil {
			return err
		}
		select {
		case in.groups <- g:
		case <-in.ctx.Done():
			return nil
		}
	}
}

// claim notes the objects that a change touches; a later change of one of them goes into the next group, because its previous
// event's sequence must be known.
func claim(it *item, keys map[string]struct{}) {
	for _, k := range it.keys {
		keys[k] = struct{}{}
	}
}

func conflicts(it *item, keys map[string]struct{}) bool {
	for _, k := range it.keys {
		if _, taken := keys[k]; taken {
			return true
		}
	}
	return false
}

// claims are the states that an item may touch, and the source's own name of its object: under which id it was known last must be known, too.
func (in *Intake) claims(it *item) []string {
	if it.change.Object.IsZero() {
		return nil
	}
	keys := in.keysOf(&it.change)
	it.states = len(keys)
	if it.change.Alias != "" {
		keys = append(keys, "alias "+it.change.Alias)
	}
	return keys
}

func (in *Intake) key(id string) string {
	typ, _, _ := strings.Cut(id, "--")
	return eventlog.LatestSubject(safe(typ), id, in.opt.Producer)
}

func safe(typ string) string {
	if eventlog.SafeType(typ) {
		return typ
	}
	return "unknown"
}

// keysOf lists the states that a change may touch, the object's own first.
func (in *Intake) keysOf(c *bridge.Change) []string {
	keys := []string{eventlog.LatestSubject(c.Object.Type(), c.Object.ID(), in.opt.Producer)}
	for _, id := range c.OtherIDs {
		if id != c.Object.ID() {
			keys = append(keys, in.key(id))
		}
	}
	for _, s := range c.Sources {
		keys = append(keys, eventlog.LatestSubject(safe(s.Type()), s.ID(), in.opt.Producer))
	}
	if c.Alias != "" {
		in.mu.Lock()
		old := in.aliases[c.Alias]
		in.mu.Unlock()
		if old != "" && old != c.Object.ID() {
			keys = append(keys, in.key(old))
		}
	}
	return keys
}

// form decides a batch of items.
func (in *Intake) form(batch []item) (*group, error) {
	g := &group{at: -1, ticket: batch[len(batch)-1].ticket, touched: map[string]bool{}}
	states, err := in.lookup(batch)
	if err != nil {
		return nil, err
	}
	if in.erasures, err = in.countErasures(); err != nil {
		return nil, err
	}
	for i := range batch {
		it := &batch[i]
		switch {
		case it.cursor != nil:
			g.cursor, g.at = it.cursor, len(g.msgs)-1
			in.before, in.seen = in.seen, map[string]struct{}{}
		case it.force:
			g.force = true
		default:
			if err := in.change(g, it, states); err != nil {
				return nil, err
			}
		}
	}
	if g.cursor != nil && g.at >= 0 {
		g.msgs[g.at].Header[eventlog.HeaderCursor] = []string{string(g.cursor)}
	}
	return g, nil
}

// lookup returns the present state of every object that the batch may touch: from what is under way, else from STIX_LATEST.
func (in *Intake) lookup(batch []item) (map[string]*pending, error) {
	states := make(map[string]*pending, len(batch))
	var ask []string
	for i := range batch {
		for _, k := range batch[i].keys[:batch[i].states] {
			if _, ok := states[k]; ok {
				continue
			}
			if p := in.underway(k); p != nil {
				states[k] = p
				continue
			}
			states[k] = nil
			if !in.fresh.certainlyNew(k) {
				ask = append(ask, k)
			}
		}
	}
	err := in.persist(in.ctx, "look up known objects", func(ctx context.Context) error {
		found, err := in.store.Latest.Lookup(ctx, ask)
		for k, e := range found {
			states[k] = &pending{entry: e, known: true}
		}
		return err
	})
	return states, err
}

// countErasures reads the counter that is part of event ids: what was erased a moment ago may come in again with the id it had.
func (in *Intake) countErasures() (n uint64, err error) {
	err = in.persist(in.ctx, "read the erasure counter", func(ctx context.Context) (err error) {
		n, err = Erasures(ctx, in.store.State)
		return err
	})
	return n, err
}

// underway returns the state that an event on its way leads to; it waits until that event's sequence is known.
func (in *Intake) underway(key string) *pending {
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		p := in.overlay[key]
		if p == nil || p.known || in.ctx.Err() != nil {
			return p
		}
		in.moved.Wait()
	}
}

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

// repeated reports whether an event of the source was taken since the last cursors, and remembers it.
func (in *Intake) repeated(sourceEvent string) bool {
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

// event is one message to be made.
type event struct {
	subject  eventlog.Subject
	state    eventlog.Entry // what STIX_LATEST holds after it; its Data is the body
	key      string
	ctx      bridge.Context
	modified string
	source   string
	prev     string // id of the object's event before
	passing  bool   // a retract that its successor in the same group follows: not a state to project
	object   stix.Object
	whole    bool // object is what state.Data holds, and modified is its own
}

// emit adds an event to the group.
func (in *Intake) emit(g *group, e event) error {
	h := nats.Header{
		eventlog.HeaderID:          {e.state.ID},
		eventlog.HeaderContentType: {eventlog.ContentType},
	}
	if !e.whole && len(e.state.Data) > 0 {
		if o, err := stix.Parse(e.state.Data); err == nil {
			e.modified = o.Modified()
		}
	}
	if e.modified != "" {
		h[eventlog.HeaderModified] = []string{e.modified}
	}
	body := e.state.Data
	if len(body) > eventlog.MaxInline {
		err := in.persist(in.ctx, "store a large object", func(ctx context.Context) (err error) {
			e.state.Blob, err = in.store.Blobs.Put(ctx, e.subject.TLP, body)
			return err
		})
		if err != nil {
			return err
		}
		body = head(e.object)
		e.state.Data = body
	}
	if e.state.Blob != "" {
		h[eventlog.HeaderBlob] = []string{e.state.Blob}
	}
	id := eventID(in.opt.Producer, e.state.ID, e.subject.Op, e.state.Digest, e.prev, in.erasures, e.source)
	if e.passing {
		id = eventID(in.opt.Producer, e.state.ID, e.subject.Op, e.state.Digest, e.state.EventID, in.erasures, e.source)
	}
	h[eventlog.HeaderMsgID] = []string{id}
	if text := contextText(e.ctx); text != "" {
		h[eventlog.HeaderContext] = []string{text}
	}
	g.msgs = append(g.msgs, &nats.Msg{Subject: e.subject.String(), Header: h, Data: body})
	g.keys = append(g.keys, e.key)
	g.bytes += len(body)
	in.Counts.add(string(e.subject.Op), e.subject.Type, 1)
	if e.passing {
		g.after = append(g.after, nil)
		return nil
	}
	e.state.Subject, e.state.EventID = e.subject, id
	e.state.Context = kept(e.ctx)
	e.state.Time = time.Time{}
	p := &pending{entry: e.state}
	g.after = append(g.after, p)
	g.touched[e.key] = true
	in.mu.Lock()
	in.overlay[e.key] = p
	in.mu.Unlock()
	in.fresh.add(e.key)
	return nil
}

// contextText is the header; it gives up the patch first when it would be too long.
func contextText(c bridge.Context) string {
	b := c.JSON()
	if len(b) > bridge.MaxContext {
		c.ReversePatch = nil
		b = c.JSON()
	}
	if len(b) > bridge.MaxContext {
		c.Sources = c.Sources[:min(len(c.Sources), 100)]
		b = c.JSON()
	}
	if len(b) <= 2 {
		return ""
	}
	return string(b)
}

// kept is what of a context lasts with the object.
func kept(c bridge.Context) string {
	k := bridge.Context{Origin: c.Origin, Hops: c.Hops, Reason: c.Reason, Backfill: c.Backfill, Into: c.Into, NewID: c.NewID}
	if b := k.JSON(); len(b) > 2 {
		return string(b)
	}
	return ""
}

// head is what an event carries of an object whose whole is in the object store.
func head(o stix.Object) []byte {
	m := map[string]any{"type": o.Type(), "id": o.ID()}
	for _, k := range []string{"spec_version", "created", "modified", "name", "object_marking_refs", "created_by_ref"} {
		if raw, ok := o.Get(k); ok && len(raw) < 4096 {
			m[k] = raw
		}
	}
	b, _ := json.Marshal(m) // raw values were valid JSON
	return b
}

// eventID names a change: the same change again has the same id, the same content after another version has a new one.
func eventID(producer, id string, op bridge.Op, digest, prev string, erasures uint64, source string) string {
	b := make([]byte, 0, 512)
	for _, s := range [...]string{producer, id, string(op), digest, prev, strconv.FormatUint(erasures, 10), source} {
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(append(b, ':'), s...)
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:16])
}
