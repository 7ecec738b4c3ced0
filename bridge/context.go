package bridge

import (
	"encoding/json"
	"strconv"
)

// MaxContext bounds the Stix-Context header, in bytes.
const MaxContext = 16 << 10

// JSON returns the compact form of the context; empty members are left out, an empty context is "{}".
func (c Context) JSON() []byte { return c.AppendJSON(nil) }

// AppendJSON appends it, byte for byte what encoding/json makes of it. Each event passes here twice on its way in and once on its way out,
// so it is written by hand.
func (c Context) AppendJSON(b []byte) []byte {
	w := contextWriter{b: append(b, '{'), start: len(b) + 1}
	w.text("reason", c.Reason)
	w.raw("reverse_patch", c.ReversePatch)
	w.texts("sources", c.Sources)
	w.text("new_id", c.NewID)
	w.text("into", c.Into)
	w.text("bundle", c.Bundle)
	w.number("position", int64(c.Position))
	if o := c.Origin; o != nil {
		w.key("origin")
		in := contextWriter{b: append(w.b, '{'), start: len(w.b) + 1}
		in.text("platform", o.Platform)
		in.text("user", o.User)
		in.text("referer", o.Referer)
		w.b = append(in.b, '}')
	}
	w.truth("backfill", c.Backfill)
	w.texts("hops", c.Hops)
	w.natural("prev", c.Prev)
	w.natural("cause", c.Cause)
	w.text("cause_id", c.CauseID)
	w.text("source_event", c.SourceEvent)
	w.truth("next", c.Next)
	return append(w.b, '}')
}

// contextWriter writes members, those that are not empty.
type contextWriter struct {
	b     []byte
	start int // where the first member begins
}

func (w *contextWriter) key(name string) {
	if len(w.b) > w.start {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, '"'), name...), '"', ':')
}

func (w *contextWriter) text(name, v string) {
	if v != "" {
		w.key(name)
		w.b = appendText(w.b, v)
	}
}

func (w *contextWriter) texts(name string, v []string) {
	if len(v) == 0 {
		return
	}
	w.key(name)
	for i, s := range v {
		w.b = appendText(append(w.b, "[,"[min(i, 1)]), s)
	}
	w.b = append(w.b, ']')
}

func (w *contextWriter) raw(name string, v json.RawMessage) {
	if len(v) == 0 {
		return
	}
	if compact, err := json.Marshal(v); err == nil { // it was valid JSON when it was set
		w.key(name)
		w.b = append(w.b, compact...)
	}
}

func (w *contextWriter) number(name string, v int64) {
	if v != 0 {
		w.key(name)
		w.b = strconv.AppendInt(w.b, v, 10)
	}
}

func (w *contextWriter) natural(name string, v uint64) {
	if v != 0 {
		w.key(name)
		w.b = strconv.AppendUint(w.b, v, 10)
	}
}

func (w *contextWriter) truth(name string, v bool) {
	if v {
		w.key(name)
		w.b = append(w.b, "true"...)
	}
}

// appendText quotes a text as encoding/json does; what needs no escape is copied.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20, c > 0x7e, c == '"', c == '\\', c == '<', c == '>', c == '&':
			q, _ := json.Marshal(s) // a string cannot fail
			return append(b, q...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// ParseContext reads a Stix-Context header; members it does not know are ignored.
func ParseContext(b []byte) (c Context, err error) {
	if len(b) == 0 {
		return c, nil
	}
	err = json.Unmarshal(b, &c)
	return c, err
}
