package opencti

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// envelope is the data of an event of knowledge. Dependencies and recovered objects have no type, and the type of the others is what
// happened in the platform, not what it means to this stream: an update can be sent as a delete.
type envelope struct {
	Type         string
	Data         json.RawMessage
	Origin       origin
	ReversePatch json.RawMessage
	Sources      []json.RawMessage
}

type origin struct {
	User    string
	Referer string
}

// read takes the few members that matter out of the data, in one pass and without copies: a stream can bring tens of thousands a second.
// The object itself is checked by whoever parses it.
func (e *envelope) read(data []byte) error {
	return walk(data, func(name, value []byte) error {
		switch string(name) {
		case "data":
			e.Data = value
			return nil
		case "type":
			e.Type = text(value)
		case "origin":
			if e.Origin = (origin{}); value[0] == '{' {
				_ = walk(value, func(name, value []byte) error { // of another form: an event of unknown origin
					switch string(name) {
					case "user_id":
						e.Origin.User = text(value)
					case "referer":
						e.Origin.Referer = text(value)
					}
					return nil
				})
			}
		case "context":
			if value[0] == '{' {
				if err := walk(value, e.context); err != nil {
					return err
				}
			}
		}
		if !valid(value) {
			return errSyntax
		}
		return nil
	})
}

func (e *envelope) context(name, value []byte) error {
	switch string(name) {
	case "reverse_patch":
		e.ReversePatch = value
	case "sources":
		e.Sources = nil
		_ = json.Unmarshal(value, &e.Sources)
	}
	return nil
}

// Referers of events that nothing happened for.
const (
	recovered  = "init-create"
	dependency = "init-dependencies"
)

// take handles one event of the stream.
func (f *follower) take(ctx context.Context, m message) error {
	switch m.Name {
	case "connected":
		return f.hello(ctx, m)
	case "error":
		var d struct{ Message string }
		_ = json.Unmarshal(m.Data, &d)
		return fmt.Errorf("the platform broke the stream off: %s", d.Message)
	case "no-recover":
		return f.unrecovered(ctx, m)
	case "heartbeat":
		f.alive()
		f.p.note(func(r *report) { r.heartbeat = time.Now() })
		if id, ok := parsePosition(m.ID); ok {
			return f.arrived(ctx, id)
		}
		return nil
	case "create", "update", "delete", "merge":
	default: // consumer_metrics, and what later versions may bring
		f.p.note(func(r *report) {
			if r.ignored == nil {
				r.ignored = map[string]uint64{}
			}
			if _, known := r.ignored[m.Name]; !known && len(r.ignored) >= 20 {
				r.ignored["other"]++
				return
			}
			r.ignored[m.Name]++
		})
		return nil
	}
	f.alive()
	if id, ok := parsePosition(m.ID); ok {
		if err := f.arrived(ctx, id); err != nil {
			return err
		}
	}
	f.p.note(func(r *report) { r.events++ })
	change, err := f.p.change(m, f.cur.RecoverUntil != "")
	if err != nil {
		return fail(f.run.Reject(ctx, m.Data, m.ID, err))
	}
	if change.Object.Type() == "marking-definition" && change.Op != bridge.Delete {
		f.run.Learn(change.Object)
	}
	return fail(f.run.Put(ctx, change))
}

// alive notes that the stream works.
func (f *follower) alive() { f.progress++ }

// change says what an event means.
func (p *producer) change(m message, recovering bool) (bridge.Change, error) {
	var e envelope
	if err := e.read(m.Data); err != nil {
		return bridge.Change{}, fmt.Errorf("the event's data is not what a live stream sends: %w", err)
	}
	if len(e.Data) == 0 {
		return bridge.Change{}, errors.New("the event holds no object")
	}
	o, err := stix.Parse(e.Data)
	if err != nil {
		return bridge.Change{}, err
	}
	alias, others := names(o)
	if p.origin == nil || p.origin.User != e.Origin.User || p.origin.Referer != e.Origin.Referer {
		p.origin = &bridge.Origin{Platform: p.platform, User: e.Origin.User, Referer: e.Origin.Referer} // runs of events share one
	}
	c := bridge.Change{
		Op: bridge.Op(m.Name), Object: o, Alias: alias, OtherIDs: others,
		SourceEvent: p.identity(m, e, o),
		Context: bridge.Context{
			Origin:   p.origin,
			Backfill: e.Origin.Referer == recovered || recovering && e.Origin.Referer == dependency,
		},
	}
	switch c.Op {
	case bridge.Delete:
		if e.Type == string(bridge.Update) {
			c.Op, c.Context.Reason = bridge.Retract, "left_filter"
		}
	case bridge.Update, bridge.Merge:
		if n := len(e.ReversePatch); n > 2 && n < bridge.MaxContext-2048 {
			c.Context.ReversePatch = e.ReversePatch
		}
		for _, raw := range e.Sources {
			if s, err := stix.Parse(raw); err == nil {
				c.Sources = append(c.Sources, s)
			}
		}
	}
	return c, nil
}

// names are the platform's own lasting name of an object, and the ids that it had before.
func names(o stix.Object) (alias string, others []string) {
	raw, ok := o.Get("extensions", stix.OpenCTIExtension)
	if !ok || raw[0] != '{' {
		return "", nil
	}
	_ = walk(raw, func(name, value []byte) error {
		switch string(name) {
		case "id":
			alias = text(value)
		case "stix_ids":
			if others = nil; len(value) > 2 {
				_ = json.Unmarshal(value, &others) // of another form: an object that had no other id
			}
		}
		return nil
	})
	return alias, others
}

// identity of an event at the platform. Its id alone is none: a dependency and the event that needs it share one.
func (p *producer) identity(m message, e envelope, o stix.Object) string {
	b := p.scratch[:0]
	for _, s := range [...]string{m.ID, m.Name, e.Origin.Referer, o.ID()} {
		b = append(append(strconv.AppendInt(b, int64(len(s)), 10), ':'), s...)
	}
	b = append(b, e.Data...)
	if p.scratch = b; cap(b) > maxScratch {
		p.scratch = nil
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:16])
}

// maxScratch is the largest buffer that is kept between two events.
const maxScratch = 1 << 20
