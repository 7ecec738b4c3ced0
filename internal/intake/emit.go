package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/stix"
)

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
