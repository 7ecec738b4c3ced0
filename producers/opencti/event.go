package opencti

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// envelope is the data of an event of knowledge. Dependencies and recovered objects have no type, and the type of the others is what
// happened in the platform, not what it means to this stream: an update can be sent as a delete.
type envelope struct {
	Version string          `json:"version"`
	Type    string          `json:"type"`
	Data    json.RawMessage `json:"data"`
	Origin  struct {
		User    string `json:"user_id"`
		Referer string `json:"referer"`
	} `json:"origin"`
	Context struct {
		ReversePatch json.RawMessage   `json:"reverse_patch"`
		Sources      []json.RawMessage `json:"sources"`
	} `json:"context"`
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
	if err := json.Unmarshal(m.Data, &e); err != nil {
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
		if n := len(e.Context.ReversePatch); n > 2 && n < bridge.MaxContext-2048 {
			c.Context.ReversePatch = e.Context.ReversePatch
		}
		for _, raw := range e.Context.Sources {
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
