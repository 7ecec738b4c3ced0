package octitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/internal/sse/ssetest"
)

// eventID is a position of the live stream: milliseconds and a counter.
type eventID struct{ ms, n int64 }

func (e eventID) String() string { return fmt.Sprintf("%d-%d", e.ms, e.n) }

func (e eventID) before(f eventID) bool { return e.ms < f.ms || e.ms == f.ms && e.n < f.n }

func parseID(s string) (eventID, bool) {
	ms, n, dash := strings.Cut(s, "-")
	m, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return eventID{}, false
	}
	k, err := strconv.ParseInt(n, 10, 64)
	return eventID{m, k}, err == nil || !dash
}

type entry struct {
	id            eventID
	kind          string // what happened
	before, after map[string]any
	data          map[string]any // envelope
}

// next makes the id of the next event; the caller holds the lock.
func (p *Platform) next() eventID {
	now := eventID{ms: time.Now().UnixMilli()}
	if !p.last.before(now) {
		now = eventID{p.last.ms, p.last.n + 1}
	}
	p.last = now
	return now
}

// emit records what happened; the caller holds the lock.
func (p *Platform) emit(id eventID, kind string, old, now *entity, user string, context map[string]any) {
	e := entry{id: id, kind: kind}
	if old != nil {
		e.before = clone(old.object)
	}
	if now != nil {
		e.after = clone(now.object)
	}
	obj := e.after
	if obj == nil {
		obj = e.before
	}
	e.data = map[string]any{"version": "4", "type": kind, "scope": "external", "message": kind + "s a " + fmt.Sprint(obj["type"]), "data": obj,
		"origin": map[string]any{"socket": "query", "user_id": user, "referer": ""}, "event_id": id.String()}
	if context != nil {
		e.data["context"] = context
	}
	p.history = append(p.history, e)
	if p.o.Trimming > 0 && len(p.history) > p.o.Trimming {
		p.history = slices.Clone(p.history[len(p.history)-p.o.Trimming:])
	}
	p.notify()
}

// Trim forgets all but the newest n events of the live stream's history.
func (p *Platform) Trim(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.history = slices.Clone(p.history[max(0, len(p.history)-n):])
}

// StreamFault sets what goes wrong on the n-th connection (from 0) of the live stream; nil for nothing.
func (p *Platform) StreamFault(f func(n int) ssetest.Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// RefuseStream makes the live stream refuse connections; a status of 0 ends that.
func (p *Platform) RefuseStream(status int, reason, retryAfter string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = nil
	if status != 0 {
		p.refuse = ssetest.Refuse(status, reason, retryAfter)
	}
}

// StreamRequests returns the requests for the live stream so far.
func (p *Platform) StreamRequests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.streams)
}

// Position is the id of the newest event.
func (p *Platform) Position() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.history) == 0 {
		return "0-0"
	}
	return p.history[len(p.history)-1].id.String()
}

// connection of the live stream.
type connection struct {
	p        *Platform
	w        http.ResponseWriter
	sent     map[string]bool // dependencies that this connection had already
	deletes  bool
	position eventID
}

func (p *Platform) stream(w http.ResponseWriter, r *http.Request) {
	defer ssetest.Recover()
	p.mu.Lock()
	n := p.conns
	p.conns++
	p.streams = append(p.streams, r)
	refuse, fault := p.refuse, p.fault
	p.notify()
	p.mu.Unlock()
	conn := ssetest.NewConn(w, r, n, p.closed)
	auth := r.Header.Get("Authorization")
	switch {
	case refuse != nil:
		refuse(conn)
		return
	case auth != "Bearer "+p.Reader && auth != "Bearer "+p.Token, r.PathValue("id") != p.Stream:
		ssetest.Refuse(http.StatusUnauthorized, "You must be logged in", "")(conn)
		return
	}
	out := http.ResponseWriter(conn)
	if fault != nil {
		out = fault(n).Apply(conn)
	}
	c := &connection{p: p, w: out, sent: map[string]bool{}, deletes: option(r, "listen-delete") != "false"}
	conn.Begin()
	c.run(r)
}

// option reads what may stand in the query or in a header.
func option(r *http.Request, name string) string {
	if v := r.URL.Query().Get(name); v != "" {
		return v
	}
	return r.Header.Get(name)
}

func (c *connection) run(r *http.Request) {
	p := c.p
	start := option(r, "from")
	if start == "" {
		start = r.Header.Get("Last-Event-Id")
	}
	p.mu.Lock()
	var first, last eventID // zero where there is nothing
	if len(p.history) > 0 {
		first, last = p.history[0].id, p.history[len(p.history)-1].id
	}
	size := len(p.history)
	c.position = p.last // only what is new, unless the client says otherwise
	p.mu.Unlock()
	if id, ok := parseID(start); ok {
		c.position = id
	}
	c.send("", "connected", map[string]any{"lastEventId": last.String(), "firstEventId": first.String(), "streamSize": size, "connectionId": "c"})
	if until := option(r, "recover"); until != "" {
		at, err := time.Parse(time.RFC3339Nano, until)
		if start == "" || err != nil {
			c.send("", "error", map[string]any{"stream": p.Stream, "message": "Recovery mode is only possible with a start date"})
			return
		}
		if end := (eventID{ms: at.UnixMilli()}); c.position.before(end) { // a client says it again with every connection, long after
			c.recover(end)
		}
	}
	beat := time.NewTicker(p.o.Heartbeat)
	defer beat.Stop()
	for {
		p.mu.Lock()
		changed := p.changed
		i, _ := slices.BinarySearchFunc(p.history, c.position, func(e entry, at eventID) int {
			if at.before(e.id) {
				return 1
			}
			return -1
		})
		todo := slices.Clone(p.history[i:])
		p.mu.Unlock()
		for _, e := range todo {
			c.event(e)
			c.position = e.id
		}
		if len(todo) > 0 {
			continue
		}
		select {
		case <-r.Context().Done():
			return
		case <-p.closed:
			return
		case <-changed:
		case <-beat.C:
			c.heartbeat()
		}
	}
}

// heartbeat moves the position of an idle stream on to the present, which later events are after.
func (c *connection) heartbeat() {
	c.p.mu.Lock()
	if len(c.p.history) > 0 && c.position.before(c.p.history[len(c.p.history)-1].id) {
		c.p.mu.Unlock()
		return // there is something to send first
	}
	if now := (eventID{ms: time.Now().UnixMilli()}); c.p.last.before(now) {
		c.p.last = now
	}
	c.position = c.p.last
	c.p.mu.Unlock()
	c.send(c.position.String(), "heartbeat", time.UnixMilli(c.position.ms).UTC().Format(time.RFC3339Nano))
	c.send(c.position.String(), "consumer_metrics", map[string]any{"deliveryRate": 0, "processingRate": 0})
}

// event decides what this connection sees of what happened.
func (c *connection) event(e entry) {
	was := e.before != nil && c.p.o.Filter(e.before)
	is := e.after != nil && c.p.o.Filter(e.after)
	name := e.kind
	switch {
	case e.kind == "update" && was && !is:
		name = "delete"
	case e.kind == "update" && !was && is:
		name = "create"
	case e.kind == "delete" && !was, e.kind != "delete" && !is:
		return
	}
	if name == "delete" && !c.deletes {
		return
	}
	if name != "delete" {
		c.dependencies(e.id, e.after)
		id, _ := e.after["id"].(string)
		c.sent[id] = true
	}
	c.send(e.id.String(), name, e.data)
}

// dependencies sends what an object refers to directly, with the id of the event that needs it.
func (c *connection) dependencies(id eventID, obj map[string]any) {
	var refs []string
	for k, v := range obj {
		switch l, isList := v.([]any); {
		case strings.HasSuffix(k, "_refs") && isList:
			for _, r := range l {
				refs = append(refs, fmt.Sprint(r))
			}
		case strings.HasSuffix(k, "_ref"):
			refs = append(refs, fmt.Sprint(v))
		}
	}
	slices.Sort(refs)
	for _, ref := range refs {
		c.p.mu.Lock()
		e := c.p.entities[c.p.resolve(ref)]
		var copied map[string]any
		if e != nil {
			copied = clone(e.object)
		}
		c.p.mu.Unlock()
		if copied == nil || c.sent[ref] {
			continue
		}
		c.sent[ref] = true
		c.dependencies(id, copied)
		c.send(id.String(), "create", map[string]any{"version": "4", "data": copied, "message": "dependency", "origin": map[string]any{"referer": "init-dependencies"}})
	}
}

// recover sends what was changed between the position and until from the database, then goes on from there.
func (c *connection) recover(until eventID) {
	c.p.mu.Lock()
	var found []*entity
	for _, e := range c.p.entities {
		if e.updated > c.position.ms && e.updated <= until.ms && c.p.o.Filter(e.object) {
			found = append(found, &entity{object: clone(e.object), updated: e.updated})
		}
	}
	c.p.mu.Unlock()
	slices.SortFunc(found, func(a, b *entity) int { return int(a.updated - b.updated) })
	for i := 0; i+2 < len(found); i += 3 { // ids of a recovery do not rise steadily
		found[i], found[i+2] = found[i+2], found[i]
	}
	for _, e := range found {
		id := eventID{ms: e.updated}
		c.dependencies(id, e.object)
		key, _ := e.object["id"].(string)
		if c.sent[key] {
			continue
		}
		c.sent[key] = true
		c.send(id.String(), "create", map[string]any{"version": "4", "data": e.object, "message": "recovered", "origin": map[string]any{"referer": "init-create"}})
	}
	c.position = until
}

func (c *connection) send(id, name string, data any) {
	b, _ := json.Marshal(data)
	_, _ = c.w.Write([]byte(ssetest.Format(id, name, string(b))))
	c.w.(http.Flusher).Flush()
}
