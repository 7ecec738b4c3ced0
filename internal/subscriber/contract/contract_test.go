package contract

//go:generate go test . -run TestPublishedFilesAreCurrent -update

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/oasdiff/yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/subscriber"
	"github.com/stixbridge/stixbridge/stix"
)

var update = flag.Bool("update", false, "write the published files anew")

const published = "../../../docs/schema"

func TestPublishedFilesAreCurrent(t *testing.T) {
	for name, render := range map[string]func() ([]byte, error){"event.schema.json": Event, "asyncapi.yaml": AsyncAPI} {
		want, err := render()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(published, name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(have), string(want)); d != "" {
			t.Errorf("%s is out of date; run go generate ./internal/subscriber/contract (- file, + code):\n%s", path, d)
		}
	}
}

// compile reads the published schema; at is a part of it.
func compile(t *testing.T, at string) *jsonschema.Schema {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(published, "event.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.AssertContent()
	if err := c.AddResource(ID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(ID + at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func check(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s.Validate(v)
}

// full is an event with everything that an event can have.
func full(t *testing.T, op bridge.Op) bridge.Event {
	t.Helper()
	o, err := stix.Parse([]byte(`{"type":"x-odd","id":"x-odd--1","n":1.50,"unknown":{"a":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	return bridge.Event{Seq: 1, Time: time.Now(), ID: "7fae", Producer: "a-feed", TLP: stix.AmberStrict, Op: op, Object: o, Context: bridge.Context{
		Reason: "reclassified", ReversePatch: json.RawMessage(`[{"op":"replace","path":"/n","value":1}]`), Sources: []string{"a"}, NewID: "b", Into: "c", Bundle: "bundle--1", Position: 3,
		Origin: &bridge.Origin{Platform: "p", User: "u", Referer: "init-create"}, Backfill: true, Hops: []string{"e"}, Prev: 1, Cause: 2, CauseID: "i", SourceEvent: "1-0", Next: true,
	}}
}

func TestEveryKindOfLineIsValid(t *testing.T) {
	s := compile(t, "")
	for _, o := range ops {
		e := full(t, o.op)
		if err := check(t, s, e.Line(nil)); err != nil {
			t.Errorf("%s: %v", o.op, err)
		}
		e.Context = bridge.Context{}
		if err := check(t, s, e.Line(nil)); err != nil {
			t.Errorf("%s without context: %v", o.op, err)
		}
	}
	for _, wrong := range []string{
		`{}`, strings.Replace(string(full(t, "create").Line(nil)), `"create"`, `"created"`, 1), strings.Replace(string(full(t, "create").Line(nil)), `amber_strict`, `amber+strict`, 1),
		strings.Replace(string(full(t, "create").Line(nil)), `"seq":1`, `"seq":"1"`, 1), strings.Replace(string(full(t, "create").Line(nil)), `"position":3`, `"position":-3`, 1),
	} {
		if err := check(t, s, []byte(wrong)); err == nil {
			t.Errorf("%s is valid: the schema says nothing", wrong)
		}
	}
}

func TestTheSchemaNamesWhatTheCodeHas(t *testing.T) {
	names := func(typ reflect.Type) (all []string) {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			all = append(all, name)
		}
		slices.Sort(all)
		return all
	}
	ctx := context()["properties"].(object)
	if d := cmp.Diff(names(reflect.TypeFor[bridge.Context]()), slices.Sorted(maps.Keys(ctx))); d != "" {
		t.Errorf("members of the context (- code, + schema):\n%s", d)
	}
	if d := cmp.Diff(names(reflect.TypeFor[bridge.Origin]()), slices.Sorted(maps.Keys(ctx["origin"].(object)["properties"].(object)))); d != "" {
		t.Errorf("members of the origin (- code, + schema):\n%s", d)
	}
	subject := compile(t, "#/$defs/subject")
	for _, o := range opNames() {
		for _, l := range levels() {
			level, err := stix.ParseTLP(l)
			if err != nil {
				t.Fatal(err)
			}
			s := eventlog.Subject{Producer: "a-feed", TLP: level, Op: bridge.Op(o), Type: "x-odd", Partition: 12}.String()
			if err := subject.Validate(s); err != nil {
				t.Error(err)
			}
		}
	}
	for _, wrong := range []string{"stix.v1.a.green.create.tool", "stix.v2.a.green.create.tool.1", "stix.v1.a.white.create.tool.1", "stix.v1.a.green.create.tool.1.2", "stix.v1.A.green.create.tool.1"} {
		if err := subject.Validate(wrong); err == nil {
			t.Errorf("%s is a valid subject", wrong)
		}
	}
}

func TestHeadersOfAMessageAreValid(t *testing.T) {
	s := compile(t, "#/$defs/headers")
	h := nats.Header{
		eventlog.HeaderMsgID: {"7fae"}, eventlog.HeaderID: {"x-odd--1"}, eventlog.HeaderContentType: {eventlog.ContentType}, eventlog.HeaderContext: {string(full(t, "retract").Context.JSON())},
		eventlog.HeaderBlob: {"stix_blobs_amber_strict/" + strings.Repeat("a", 64)}, "Nats-Batch-Id": {"x"},
	}
	if err := check(t, s, flat(t, h)); err != nil {
		t.Error(err)
	}
	h[eventlog.HeaderContext] = []string{`{"position":-1}`}
	if err := check(t, s, flat(t, h)); err == nil {
		t.Error("a context that is wrong is valid")
	}
}

func flat(t *testing.T, h nats.Header) []byte {
	t.Helper()
	m := map[string]string{}
	for k, v := range http.Header(h) {
		m[k] = v[0]
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheAsyncAPIDocumentHoldsTogether(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(published, "asyncapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if _, err := yaml.Unmarshal(text, &doc, yaml.DecodeOpts{}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"asyncapi", "info", "channels", "operations", "components"} {
		if doc[key] == nil {
			t.Errorf("no %s", key)
		}
	}
	refs := 0
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if r, ok := v["$ref"].(string); ok {
				refs++
				if in, ok := strings.CutPrefix(r, "./event.schema.json"); ok {
					compile(t, in)
				} else if find(doc, strings.TrimPrefix(r, "#/")) == nil {
					t.Errorf("%s: %s leads nowhere", at, r)
				}
			}
			if address, ok := v["address"].(string); ok {
				params, _ := v["parameters"].(map[string]any)
				for _, part := range strings.Split(address, ".") {
					if name, ok := strings.CutPrefix(part, "{"); ok && params[strings.TrimSuffix(name, "}")] == nil {
						t.Errorf("%s: parameter %s is not described", at, part)
					}
				}
			}
			for k, e := range v {
				walk(at+"/"+k, e)
			}
		case []any:
			for _, e := range v {
				walk(at, e)
			}
		}
	}
	walk("", doc)
	if refs < 10 {
		t.Errorf("%d references found: the test looks in the wrong place", refs)
	}
}

func find(v any, path string) any {
	for _, k := range strings.Split(path, "/") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

func TestThePageShowsTheExportsThatTheCodeNeeds(t *testing.T) {
	page, err := os.ReadFile("../../../docs/subscribe.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(subscriber.HomeExports()) {
		n++
		if !strings.Contains(string(page), strings.TrimSpace(line)) {
			t.Errorf("docs/subscribe.md does not show %s", line)
		}
	}
	if n == 0 {
		t.Error("no export")
	}
}
