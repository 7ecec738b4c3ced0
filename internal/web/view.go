package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// view is everything one page shows.
type view struct {
	View  string // overview, consumer, producer, message
	Path  string
	Title string
	Build string // of the assets; the script reloads when it changes
	snapshot
	Now      time.Time
	Login    bool // tokens are configured
	Role     string
	Orders   bool // may pause and resume
	Verdict  verdict
	Problems []problem
	Flow     flow

	Producers []producerView
	Consumers []consumerView
	Producer  *producerView
	Consumer  *consumerView
	Message   string
	Code      int
}

// verdict is the first line of the page.
type verdict struct {
	Level level
	Title string
	More  string
}

// flow sums up what comes in, stands and goes out.
type flow struct {
	In, Out      float64
	InCurve      curve
	OutCurve     curve
	Waiting      uint64
	Oldest       float64
	Dead         uint64
	Held         uint64
	Delivered    uint64
	Fill         float64 // of the log's limit, 0…1
	LogSpan      time.Duration
	KnownObjects uint64
}

type producerView struct {
	bridge.ProducerStatus
	Level   level
	Curve   curve
	Chart   curve
	Total   uint64
	Counted []pair
	ByType  []pair
	Facts   []fact
	Cursor  string
	Problem []problem
}

type consumerView struct {
	bridge.ConsumerStatus
	Level    level
	LagCurve curve
	LagChart curve
	RateLine curve
	RateBig  curve
	HeldSum  uint64
	Gates    []pair
	Facts    []fact
	Problem  []problem
	Orders   bool
}

// pair is a counter with its name, its share of the largest beside it, and what it means.
type pair struct {
	Name  string
	N     uint64
	Share float64
	Means string
}

type fact struct{ Name, Value string }

const (
	curvePoints, curveWidth, curveHeight = 60, 120, 28
	chartPoints, chartWidth, chartHeight = 120, 600, 120

	lagFloor = 100 // a few events on their way are no news: their curve stays flat
)

// view looks at the bridge and makes the page at path.
func (h *Handler) view(r *http.Request, path string) view {
	snap, err := h.status.get(r.Context())
	role := h.role(r)
	v := view{Path: path, Build: assetBuild, snapshot: snap, Now: h.now().UTC(), Login: h.tokens.any(), Role: role.String(),
		Orders: role >= operatorRole}
	if v.Version == "" || h.opt.Version != "" {
		v.Version = h.opt.Version
	}
	if err != nil {
		v.View, v.Code, v.Title, v.Message = "message", http.StatusServiceUnavailable, "The bridge does not answer", err.Error()
		return v
	}
	v.Problems = problems(snap)
	v.Verdict = judge(v)
	v.Flow = h.flow(v)
	for _, p := range snap.Producers {
		v.Producers = append(v.Producers, h.producer(v, p))
	}
	for _, c := range snap.Consumers {
		v.Consumers = append(v.Consumers, h.consumer(v, c))
	}
	v.choose(path)
	return v
}

// choose picks the part of the bridge that the path names.
func (v *view) choose(path string) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch kind {
	case "":
		v.View, v.Title = "overview", v.Verdict.Title
		return
	case "consumers":
		if i := slices.IndexFunc(v.Consumers, func(c consumerView) bool { return c.Name == name }); i >= 0 {
			v.View, v.Title, v.Consumer = "consumer", name, &v.Consumers[i]
			return
		}
		v.Message = "No consumer is named " + name + ". It may have been renamed or left the configuration."
	case "producers":
		if i := slices.IndexFunc(v.Producers, func(p producerView) bool { return p.Name == name }); i >= 0 {
			v.View, v.Title, v.Producer = "producer", name, &v.Producers[i]
			return
		}
		v.Message = "No producer is named " + name + ". It may have been renamed or left the configuration."
	default:
		v.Message = "There is no such page."
	}
	v.View, v.Code, v.Title = "message", http.StatusNotFound, "Not found"
}

func judge(v view) verdict {
	var urgent, minor int
	for _, p := range v.Problems {
		switch p.Level {
		case bad:
			urgent++
		case warn:
			minor++
		}
	}
	switch {
	case urgent > 0:
		return verdict{bad, count(urgent, "thing needs", "things need") + " you", others(minor)}
	case minor > 0:
		return verdict{warn, count(minor, "thing", "things") + " to watch", "None of it is urgent."}
	}
	var lag uint64
	for _, c := range v.snapshot.Consumers {
		lag = max(lag, c.Lag)
	}
	switch {
	case len(v.snapshot.Producers)+len(v.snapshot.Consumers) == 0:
		return verdict{note, "Nothing is configured", "Add a producer and a consumer to stixbridge.yaml."}
	case lag > 0:
		return verdict{good, "All is well", "Events are on their way."}
	}
	return verdict{good, "All is well", "Every event is delivered, or held back by a gate."}
}

func others(n int) string {
	if n == 0 {
		return "The rest is well."
	}
	return "And " + count(n, "other thing", "other things") + " to watch."
}

func (h *Handler) flow(v view) flow {
	f := flow{KnownObjects: v.Latest.Objects}
	for _, p := range v.snapshot.Producers {
		f.In += p.Rate
		f.Dead += p.Dead
	}
	for _, c := range v.snapshot.Consumers {
		f.Out += c.Rate
		f.Waiting += c.Lag
		f.Oldest = max(f.Oldest, c.OldestAge)
		f.Dead += c.Dead
		f.Delivered += c.Delivered
		for _, n := range c.Held {
			f.Held += n
		}
	}
	if v.Log.MaxBytes > 0 {
		f.Fill = min(1, float64(v.Log.Bytes)/float64(v.Log.MaxBytes))
	}
	f.LogSpan = v.Log.Newest.Sub(v.Log.Oldest)
	f.InCurve = h.curve("in", v.Now, false, 1, "Events in")
	f.OutCurve = h.curve("out", v.Now, false, 1, "Deliveries")
	return f
}

// curve draws the last hour of a series, small or large.
func (h *Handler) curve(key string, now time.Time, large bool, floor float64, what string) curve {
	n, wide, high := curvePoints, curveWidth, curveHeight
	if large {
		n, wide, high = chartPoints, chartWidth, chartHeight
	}
	c := draw(h.history.last(key, now, n), wide, high, floor)
	write := rate
	if strings.HasPrefix(key, "lag ") {
		write = func(f float64) string { return number(uint64(f)) }
	}
	c.Label = what + " over the last hour, on a scale to " + write(c.Max)
	return c
}

func (h *Handler) producer(v view, s bridge.ProducerStatus) producerView {
	p := producerView{ProducerStatus: s, Level: levelOf(s.Health), Counted: pairs(s.Counts, changeWords, changeOrder), ByType: pairs(s.Types, nil, nil),
		Facts: facts(s.Extra), Problem: about(v.Problems, s.Name),
		Curve: h.curve("rate "+s.Name, v.Now, false, 1, "Events a second"), Chart: h.curve("rate "+s.Name, v.Now, true, 1, "Events a second")}
	for op, n := range s.Counts {
		if !slices.Contains([]string{"unchanged", "duplicate", "rejected"}, op) {
			p.Total += n
		}
	}
	if len(s.Cursor) > 0 && string(s.Cursor) != "null" {
		var b bytes.Buffer
		if json.Indent(&b, s.Cursor, "", "  ") == nil {
			p.Cursor = b.String()
		} else {
			p.Cursor = string(s.Cursor)
		}
	}
	return p
}

func (h *Handler) consumer(v view, s bridge.ConsumerStatus) consumerView {
	c := consumerView{ConsumerStatus: s, Level: levelOf(s.Health), Gates: pairs(s.Held, gateWords, nil), Facts: facts(s.Extra),
		Problem: about(v.Problems, s.Name), Orders: v.Orders,
		LagCurve: h.curve("lag "+s.Name, v.Now, false, lagFloor, "Waiting"), LagChart: h.curve("lag "+s.Name, v.Now, true, lagFloor, "Waiting"),
		RateLine: h.curve("rate "+s.Name, v.Now, false, 1, "Deliveries a second"), RateBig: h.curve("rate "+s.Name, v.Now, true, 1, "Deliveries a second")}
	for _, g := range c.Gates {
		c.HeldSum += g.N
	}
	return c
}

func about(all []problem, name string) []problem {
	var out []problem
	for _, p := range all {
		if p.Name == name {
			out = append(out, p)
		}
	}
	return out
}

// pairs sorts counters: by the order given, then the largest first. Zeros are left out.
func pairs(m map[string]uint64, words map[string]string, order []string) []pair {
	var out []pair
	var top uint64
	for name, n := range m {
		if n > 0 {
			out, top = append(out, pair{Name: name, N: n, Means: words[name]}), max(top, n)
		}
	}
	place := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortFunc(out, func(a, b pair) int {
		return cmp.Or(cmp.Compare(place(a.Name), place(b.Name)), cmp.Compare(b.N, a.N), strings.Compare(a.Name, b.Name))
	})
	for i := range out {
		out[i].Share = float64(out[i].N) / float64(top)
	}
	return out
}

func facts(extra map[string]any) []fact {
	var out []fact
	for name, v := range extra {
		out = append(out, fact{strings.ReplaceAll(name, "_", " "), value(v)})
	}
	slices.SortFunc(out, func(a, b fact) int { return strings.Compare(a.Name, b.Name) })
	return out
}
