package stix

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustParse(t testing.TB, raw string) Object {
	t.Helper()
	o, err := Parse([]byte(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return o
}

func TestParseScansTheHead(t *testing.T) {
	o := mustParse(t, ` {
		"type" : "indicator", "spec_version": "2.1", "id": "indicator--1", "i\u0064": "indicator--\u00e9\ud83d\ude00",
		"created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-02T00:00:00.000Z", "valid_until": "2027-01-01T00:00:00Z",
		"created_by_ref": "identity--1", "revoked": true, "x": { "y": [ 1.50, "a b", { } ] },
		"object_marking_refs": ["marking-definition--a", "marking-definition--b"],
		"granular_markings": [{"selectors": ["x"], "marking_ref": "marking-definition--c"}, {"marking_ref": "marking-definition--a"}, {"lang": "de"}],
		"extensions": {"`+OpenCTIExtension+`": {"granted_refs": ["identity--2"]}}, "x_opencti_granted_refs": ["identity--2", "identity--3"] } `)
	got := []any{o.Type(), o.ID(), o.SpecVersion(), o.Created(), o.Modified(), o.ValidUntil(), o.CreatedBy(), o.Revoked(), o.Markings(), o.GrantedRefs()}
	want := []any{"indicator", "indicator--é😀", "2.1", "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z", "2027-01-01T00:00:00Z", "identity--1", true,
		[]string{"marking-definition--a", "marking-definition--b", "marking-definition--c"}, []string{"identity--2", "identity--3"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if raw, ok := o.Get("x"); !ok || string(raw) != `{"y":[1.50,"a b",{}]}` {
		t.Errorf("white space outside strings must go, the rest stay: %s", raw)
	}
	if raw, ok := o.Get("x", "y", "1"); !ok || string(raw) != `"a b"` {
		t.Errorf("got %s", raw)
	}
	if _, ok := o.Get("x", "z"); ok {
		t.Error("found what is not there")
	}
	if got := o.Text("x", "y", "1"); got != "a b" {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff([]string{"/id: member occurs twice"}, o.Flaws()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"identity--1", "marking-definition--a", "marking-definition--b", "marking-definition--c", "identity--2", "identity--3"}, o.Refs()); diff != "" {
		t.Error(diff)
	}
}

func TestParseKeepsCompactBytes(t *testing.T) {
	raw := []byte(`{"type":"x","id":"y"}`)
	o, err := Parse(raw)
	if err != nil || &o.Raw()[0] != &raw[0] {
		t.Errorf("compact input was copied, or %v", err)
	}
}

func TestParseRefusesWhatCannotBeAnEvent(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want error
	}{
		{`[]`, ErrNotObject}, {`1 `, ErrNotObject}, {`null`, ErrNotObject},
		{`{}`, ErrNoType}, {`{"id":"x"}`, ErrNoType}, {`{"type":"","id":"x"}`, ErrType}, {`{"type":"X","id":"x"}`, ErrType},
		{`{"type":"x"}`, ErrObjectID}, {`{"type":"x","id":null}`, ErrObjectID}, {`{"type":"x","id":"a\u007f"}`, ErrObjectID},
		{"{\"type\":\"x\",\"id\":\"x\",\"a\":\"\xc3\x28\"}", ErrUTF8},
	} {
		if _, err := Parse([]byte(c.raw)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.raw, err, c.want)
		}
	}
	for _, raw := range []string{"", " ", "{", `{"type":"x","id":"x"`, `{"type":"x","id":"x"} 1`, `{"type":"x","id":"x",}`, `{"type":"x","id":"x","a":01}`,
		`{"type":"x","id":"x","a":1.}`, `{"type":"x","id":"x","a":+1}`, `{"type":"x","id":"x","a":tru}`, `{"type":"x","id":"x","a":"\x"}`, `{"type":"x","id":"x","a":"\u12"}`,
		"{\"type\":\"x\",\"id\":\"x\",\"a\":\"\t\"}", `{type:"x"}`, `{"type":"x","id":"x","a":NaN}`, "\ufeff{}"} {
		var at *SyntaxError
		if _, err := Parse([]byte(raw)); !errors.As(err, &at) {
			t.Errorf("%s: got %v", raw, err)
		}
	}
}

func TestFlawsNameWhatOthersMayReadDifferently(t *testing.T) {
	o := mustParse(t, `{"type":"x","id":"x","a":{"b":1,"b":2},"l":[{"c/d":"\ud800"},"\ude00","\ud83d\ude00"],"modified":1,"revoked":"true","object_marking_refs":"x","k\ud800":1}`)
	want := []string{"/a/b: member occurs twice", "/l/0/c~1d: lone surrogate", "/l/1: lone surrogate",
		"/k\ufffd: member name may hold a lone surrogate", "/modified: not a string", "/revoked: not a boolean", "/object_marking_refs: not a list"}
	if diff := cmp.Diff(want, o.Flaws()); diff != "" {
		t.Error(diff)
	}
	if f := mustParse(t, `{"type":"x","id":"x","a":{"b":1},"b":1}`).Flaws(); f != nil {
		t.Errorf("flaws in a sound object: %q", f)
	}
}

func TestSetAndDropLeaveTheRestAlone(t *testing.T) {
	o := mustParse(t, `{"type":"x","n":1.0e2,"id":"x","u":"\u00e9","n":2,"z":{"n":3}}`)
	for _, c := range []struct {
		name string
		do   func() (Object, error)
		want string
	}{
		{"the last of two members is replaced", func() (Object, error) { return o.Set("n", "<&>\u2028") }, "{\"type\":\"x\",\"n\":1.0e2,\"id\":\"x\",\"u\":\"\\u00e9\",\"n\":\"<&>\u2028\",\"z\":{\"n\":3}}"},
		{"a new member is appended", func() (Object, error) { return o.Set("b\"", map[string]any{"x": []int{1}}) }, `{"type":"x","n":1.0e2,"id":"x","u":"\u00e9","n":2,"z":{"n":3},"b\"":{"x":[1]}}`},
		{"raw JSON is taken as it is", func() (Object, error) { return o.Set("z", json.RawMessage(` [ 1.50 ] `)) }, `{"type":"x","n":1.0e2,"id":"x","u":"\u00e9","n":2,"z":[1.50]}`},
		{"both of two members are dropped", func() (Object, error) { return o.Drop("n", "nothing") }, `{"type":"x","id":"x","u":"\u00e9","z":{"n":3}}`},
		{"null", func() (Object, error) { return o.Set("z", nil) }, `{"type":"x","n":1.0e2,"id":"x","u":"\u00e9","n":2,"z":null}`},
	} {
		got, err := c.do()
		if err != nil || string(got.Raw()) != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", c.name, err, got.Raw(), c.want)
		}
	}
	if _, err := o.Set("id", 1); !errors.Is(err, ErrObjectID) {
		t.Errorf("got %v", err)
	}
	if _, err := o.Set("a", json.RawMessage(`{`)); err == nil {
		t.Error("malformed raw JSON was accepted")
	}
	if _, err := o.Drop("type"); !errors.Is(err, ErrNoType) {
		t.Errorf("got %v", err)
	}
	if p, err := o.Set("id", "y"); err != nil || p.ID() != "y" || o.ID() != "x" {
		t.Errorf("got %v %v %v", p, o, err)
	}
}

func TestDigestIsOfTheContent(t *testing.T) {
	o := mustParse(t, `{"type":"x","id":"x","a":1,"b":"é","c":[1,2]}`)
	for _, same := range []string{`{"id":"x","type":"x","c":[1.0,2e0],"b":"\u00e9","a":1.000}`, ` {"type":"x", "id":"x","a":1,"b":"é","c":[1,2]}`} {
		if p := mustParse(t, same); p.Digest() != o.Digest() || !p.Equal(o) {
			t.Errorf("%s has another digest", same)
		}
	}
	for _, other := range []string{`{"type":"x","id":"x","a":1,"b":"é","c":[2,1]}`, `{"type":"x","id":"x","a":"1","b":"é","c":[1,2]}`, `{"type":"x","id":"x","a":1,"b":"e\u0301","c":[1,2]}`} {
		if mustParse(t, other).Digest() == o.Digest() {
			t.Errorf("%s has the same digest", other)
		}
	}
	lone := `{"type":"x","id":"x","a":"\ud800"}`
	if a, b := mustParse(t, lone), mustParse(t, `{"type":"x","id":"x","a":"\ud801"}`); a.Digest() == b.Digest() || a.Digest() != mustParse(t, lone).Digest() {
		t.Error("without canonical form the bytes count")
	}
}

func TestStub(t *testing.T) {
	if o := Stub("indicator", "indicator--\"x\""); string(o.Raw()) != `{"type":"indicator","id":"indicator--\"x\""}` {
		t.Errorf("got %s", o.Raw())
	}
	if !Stub("A", "x").IsZero() || !Stub("a", "").IsZero() || !Stub("a", "\xff").IsZero() {
		t.Error("a stub with an unusable type or id")
	}
}

func TestZeroObject(t *testing.T) {
	var o Object
	if _, err := o.Set("a", 1); err == nil || o.ID() != "" || o.Markings() != nil || o.Refs() != nil || o.Flaws() != nil || o.Raw() != nil || !o.Equal(Object{}) || o.Equal(Stub("a", "b")) {
		t.Error("the zero object holds something")
	}
}

func TestObjectsTravelInJSON(t *testing.T) {
	in := `{"o":{"type":"x","id":"x","a":"<"},"p":null}`
	var v struct{ O, P Object }
	if err := json.Unmarshal([]byte(in), &v); err != nil || v.O.ID() != "x" || !v.P.IsZero() {
		t.Fatalf("%v %v", v, err)
	}
}
