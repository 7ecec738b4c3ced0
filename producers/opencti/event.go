package opencti

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"

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
	User    string `json:"user_id"`
	Referer string `json:"referer"`
}

// read takes the few members that matter out of the data, in one pass and without copies: a stream can bring tens of thousands a second.
func (e *envelope) read(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	err := members(d, func(name string) error {
		switch name {
		case "type":
			return text(d, &e.Type)
		case "data":
			return raw(d, &e.Data)
		case "origin":
			v, err := d.ReadValue()
			if err == nil {
				_ = json.Unmarshal(v, &e.Origin) // of another form: an event of unknown origin
			}
			return err
		case "context":
			if d.PeekKind() != '{' {
				return d.SkipValue()
			}
			return members(d, func(name string) error {
				switch name {
				case "reverse_patch":
					return raw(d, &e.ReversePatch)
				case "sources":
					v, err := d.ReadValue()
					if err == nil {
						_ = json.Unmarshal(v, &e.Sources)
					}
					return err
				}
				return d.SkipValue()
			})
		}
		return d.SkipValue()
	})
	if err != nil {
		return err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

// members calls f for each member of the object that comes next; f must take its value.
func members(d *jsontext.Decoder, f func(name string) error) error {
	if k := d.PeekKind(); k != '{' {
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		return errors.New("not an object")
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := f(name.String()); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

func text(d *jsontext.Decoder, into *string) error {
	if d.PeekKind() != '"' {
		return d.SkipValue()
	}
	t, err := d.ReadToken()
	*into = t.String()
	return err
}

// raw copies the next value: the decoder's is valid until its next call only.
func raw(d *jsontext.Decoder, into *json.RawMessage) error {
	v, err := d.ReadValue()
	*into = bytes.Clone(v)
	return err
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
	var ext struct {
		ID      string   `json:"id"`
		StixIDs []string `json:"stix_ids"`
	}
	if raw, ok := o.Get("extensions", stix.OpenCTIExtension); ok {
		_ = json.Unmarshal(raw, &ext) // of another form: an object without the platform's own names
	}
	c := bridge.Change{
		Op: bridge.Op(m.Name), Object: o, Alias: ext.ID, OtherIDs: ext.StixIDs,
		SourceEvent: identity(m, e, o),
		Context: bridge.Context{
			Origin:   &bridge.Origin{Platform: p.platform, User: e.Origin.User, Referer: e.Origin.Referer},
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

// identity of an event at the platform. Its id alone is none: a dependency and the event that needs it share one.
func identity(m message, e envelope, o stix.Object) string {
	h := sha256.New()
	for _, s := range []string{m.ID, m.Name, e.Origin.Referer, o.ID()} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	h.Write(e.Data)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
