// Package octitest is a stand-in for an OpenCTI platform, written from its wire contract: it is not the platform, and what it
// does not know it refuses. It registers connectors, keeps works, makes queues on a real RabbitMQ, imports what is sent to them in
// the way of the platform's worker, gives objects the platform's own form, and plays a live stream of what happened.
package octitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/stixbridge/stixbridge/internal/sse/ssetest"
)

// Extension is the property extension that the platform adds to every object.
const Extension = "extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba"

// Options of a platform. The zero value is a current version without a broker.
type Options struct {
	Version    string                           // default 7.261026.0
	Broker     Broker                           // where queues are made; without a host, registration makes none
	StandardID func(raw []byte) (string, error) // id that the platform gives to an object; default: the id it came with
	Filter     func(obj map[string]any) bool    // of the live stream; default: everything
	Heartbeat  time.Duration                    // of live streams; default 50 ms
	Trimming   int                              // entries that the live stream keeps; default: all
}

// Broker is handed to connectors at registration.
type Broker struct {
	Host, VHost, User, Password string
	Port                        int
}

// Host is what a platform runs in and ends with: a test, or a program that shows something.
type Host interface {
	Helper()
	Cleanup(func())
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// Platform is a running stand-in. Its methods are safe for concurrent use.
type Platform struct {
	URL    string
	Token  string // of the writer
	Reader string // token of the live stream's reader
	Stream string // id of the live stream's collection

	t      Host
	o      Options
	closed chan struct{}
	wg     sync.WaitGroup

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced at each change
	connectors map[string]*ConnectorRecord
	works      map[string]*WorkRecord
	calls      []Call
	faults     []*fault
	queue      *[2]int64
	entities   map[string]*entity // by standard id
	alias      map[string]string  // any other id → standard id
	refused    map[string]string  // object id → error of its import
	imports    []Import
	messages   []Message
	history    []entry
	last       eventID
	conns      int
	streams    []*http.Request
	fault      func(n int) ssetest.Fault
	refuse     ssetest.Script
}

// New starts a platform that ends with its host.
func New(t Host, o Options) *Platform {
	if o.Version == "" {
		o.Version = "7.261026.0"
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 50 * time.Millisecond
	}
	if o.Filter == nil {
		o.Filter = func(map[string]any) bool { return true }
	}
	p := &Platform{
		Token: "11111111-2222-4333-8444-555555555555", Reader: "99999999-2222-4333-8444-555555555555", Stream: uuid.NewString(),
		t: t, o: o, closed: make(chan struct{}), changed: make(chan struct{}),
		connectors: map[string]*ConnectorRecord{}, works: map[string]*WorkRecord{},
		entities: map[string]*entity{}, alias: map[string]string{}, refused: map[string]string{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /graphql", p.graphql)
	mux.HandleFunc("GET /stream/{id}", p.stream)
	s := httptest.NewServer(mux)
	p.URL = s.URL
	t.Cleanup(func() {
		close(p.closed)
		s.CloseClientConnections()
		s.Close()
		p.wg.Wait()
	})
	return p
}

// User is the id of the user behind the writer's token.
func (p *Platform) User() string { return "88ec0c6a-13ce-5e39-b486-354fe4a7084f" }

// Await blocks until cond holds, which is asked again after each change, or fails the test after 30 s.
func (p *Platform) Await(what string, cond func() bool) {
	p.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if cond() {
			return
		}
		select {
		case <-changed:
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			p.t.Fatalf("platform: gave up waiting until %s", what)
		}
	}
}

// notify wakes whoever waits for a change; the caller holds the lock.
func (p *Platform) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

type entity struct {
	internal string
	stixIDs  []string
	object   map[string]any // the platform's form
	updated  int64          // ms
}

// Object returns an object in the platform's form, by any of its ids; nil when there is none.
func (p *Platform) Object(id string) map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entities[p.resolve(id)]; e != nil {
		return clone(e.object)
	}
	return nil
}

// IDs lists the standard ids of all objects, sorted.
func (p *Platform) IDs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.entities))
}

func (p *Platform) resolve(id string) string {
	if s, ok := p.alias[id]; ok {
		return s
	}
	return id
}

// Upsert makes or changes an object as an analyst would, and emits what the stream says of it.
func (p *Platform) Upsert(obj map[string]any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.upsert(obj, "analyst")
}

// Delete removes an object as an analyst would.
func (p *Platform) Delete(id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remove(id, "analyst")
}

// Merge merges sources into target as an analyst would.
func (p *Platform) Merge(target string, sources ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.merge(target, sources, "analyst")
}

// volatile members say nothing about an object's content.
var volatile = map[string]bool{"modified": true, "extensions": true, "nb_deps": true, "x_opencti_seq": true}

func (p *Platform) upsert(obj map[string]any, user string) error {
	obj = clone(obj)
	id, _ := obj["id"].(string)
	typ, _ := obj["type"].(string)
	if id == "" || typ == "" {
		return fmt.Errorf("FUNCTIONAL_ERROR: object without id or type")
	}
	if err := p.references(obj); err != nil {
		return err
	}
	std := p.resolve(id)
	old := p.entities[std]
	if old == nil && p.o.StandardID != nil {
		raw, _ := json.Marshal(obj)
		if s, err := p.o.StandardID(raw); err == nil {
			std = s
			old = p.entities[std]
		}
	}
	for k := range volatile {
		if k != "extensions" {
			delete(obj, k)
		}
	}
	ext, _ := obj["extensions"].(map[string]any)
	octi, _ := ext[Extension].(map[string]any)
	now := p.next()
	e := &entity{internal: uuid.NewString(), updated: now.ms}
	next := map[string]any{"confidence": 100.0, "lang": "en", "revoked": false}
	score := any(50.0)
	if old != nil {
		e.internal, e.stixIDs = old.internal, slices.Clone(old.stixIDs)
		next = clone(old.object)
		score = extensionOf(old.object)["score"]
	}
	if v, ok := octi["score"]; ok {
		score = v
	}
	if v, ok := obj["x_opencti_score"]; ok {
		score = v
	}
	changed := old == nil || (typ == "indicator" && score != extensionOf(old.object)["score"])
	for k, v := range obj {
		if k == "extensions" || k == "id" || k == "created" && old != nil {
			continue
		}
		if !equal(next[k], v) {
			changed = true
		}
		next[k] = v
	}
	if id != std && !slices.Contains(e.stixIDs, id) {
		e.stixIDs = append(e.stixIDs, id)
		changed = true
	}
	if !changed {
		return nil
	}
	stamp := time.UnixMilli(now.ms).UTC().Format("2006-01-02T15:04:05.000Z")
	next["id"], next["modified"] = std, stamp
	if next["created"] == nil {
		next["created"] = stamp
	}
	x := map[string]any{
		"extension_type": "property-extension", "id": e.internal, "type": strings.ToUpper(typ[:1]) + typ[1:], "created_at": stamp, "updated_at": stamp,
		"is_inferred": false, "creator_ids": []any{p.User()}, "stix_ids": list(e.stixIDs), "workflow_id": uuid.NewString(),
	}
	if typ == "indicator" {
		x["score"], x["detection"] = score, false
	}
	if old != nil {
		x["created_at"] = extensionOf(old.object)["created_at"]
	}
	if labels, ok := next["labels"].([]any); ok {
		ids := []any{}
		for _, l := range labels {
			ids = append(ids, uuid.NewSHA1(uuid.NameSpaceURL, []byte(fmt.Sprint(l))).String())
		}
		x["labels_ids"] = ids
	}
	all := map[string]any{}
	for k, v := range ext {
		if k != Extension {
			all[k] = v
		}
	}
	all[Extension] = x
	next["extensions"] = all
	e.object = next
	p.entities[std] = e
	for _, a := range append(slices.Clone(e.stixIDs), e.internal) {
		p.alias[a] = std
	}
	name := "create"
	var context map[string]any
	if old != nil {
		name, context = "update", map[string]any{"patch": patch(old.object, next), "reverse_patch": patch(next, old.object)}
	}
	p.emit(now, name, old, e, user, context)
	return nil
}

// references fails when the platform would not find what an object refers to, and rewrites references to standard ids.
func (p *Platform) references(obj map[string]any) error {
	check := func(v any) (string, error) {
		id, _ := v.(string)
		if std := p.resolve(id); p.entities[std] != nil {
			return std, nil
		}
		if strings.HasPrefix(id, "marking-definition--") && builtin[strings.TrimPrefix(id, "marking-definition--")] {
			return id, nil
		}
		return "", fmt.Errorf("MISSING_REFERENCE_ERROR: element %s not found", id)
	}
	for k, v := range obj {
		switch l, isList := v.([]any); {
		case strings.HasSuffix(k, "_refs") && isList:
			for i := range l {
				s, err := check(l[i])
				if err != nil {
					return err
				}
				l[i] = s
			}
		case strings.HasSuffix(k, "_ref") && v != nil:
			s, err := check(v)
			if err != nil {
				return err
			}
			obj[k] = s
		}
	}
	return nil
}

// builtin markings exist on every platform.
var builtin = map[string]bool{
	"613f2e26-407d-48c7-9eca-b8e91df99dc9": true, "34098fce-860f-48ae-8e50-ebd3cc5e41da": true, "f88d31f6-486f-44da-b317-01333bde0b82": true,
	"826578e1-40ad-459f-bc73-ede076f81f37": true, "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": true,
}

func (p *Platform) remove(id, user string) error {
	std := p.resolve(id)
	e := p.entities[std]
	if e == nil {
		return nil
	}
	delete(p.entities, std)
	p.emit(p.next(), "delete", e, nil, user, nil)
	return nil
}

func (p *Platform) merge(target string, sources []string, user string) error {
	e := p.entities[p.resolve(target)]
	if e == nil {
		return fmt.Errorf("MISSING_REFERENCE_ERROR: element %s not found", target)
	}
	before := &entity{object: clone(e.object)}
	var gone []any
	for _, s := range sources {
		std := p.resolve(s)
		if src := p.entities[std]; src != nil && src != e {
			gone = append(gone, src.object)
			delete(p.entities, std)
			p.alias[std] = p.resolve(target)
			e.stixIDs = append(e.stixIDs, std)
		}
	}
	now := p.next()
	e.updated = now.ms
	e.object["modified"] = time.UnixMilli(now.ms).UTC().Format("2006-01-02T15:04:05.000Z")
	extensionOf(e.object)["stix_ids"] = list(e.stixIDs)
	p.emit(now, "merge", before, e, user, map[string]any{"patch": patch(before.object, e.object), "reverse_patch": patch(e.object, before.object), "sources": gone})
	return nil
}

func extensionOf(obj map[string]any) map[string]any {
	x, _ := obj["extensions"].(map[string]any)
	o, _ := x[Extension].(map[string]any)
	return o
}

// patch is the list of replacements that makes b of a, on the top level.
func patch(a, b map[string]any) []any {
	out := []any{}
	for _, k := range slices.Sorted(maps.Keys(b)) {
		if !equal(a[k], b[k]) {
			op := "replace"
			if _, ok := a[k]; !ok {
				op = "add"
			}
			out = append(out, map[string]any{"op": op, "path": "/" + k, "value": b[k]})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[k]; !ok {
			out = append(out, map[string]any{"op": "remove", "path": "/" + k})
		}
	}
	return out
}

func equal(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func clone(m map[string]any) map[string]any {
	b, _ := json.Marshal(m)
	var out map[string]any
	_ = json.Unmarshal(b, &out)
	return out
}

func list(s []string) []any {
	out := make([]any, len(s))
	for i := range s {
		out[i] = s[i]
	}
	return out
}

// before reports whether version a is older than b, number by number.
func before(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m < n
		}
	}
	return len(x) < len(y)
}
