package stix

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestApply(t *testing.T) {
	const o = `{"type":"x","id":"x","n":1.50,"l":["a","b"],"o":{"p/q":1,"~":2},"e":[]}`
	for _, c := range []struct{ name, patch, want string }{
		{"nothing", `[]`, o},
		{"replace", `[{"op":"replace","path":"/n","value":2}]`, strings.Replace(o, "1.50", "2", 1)},
		{"add a member", `[{"op":"add","path":"/m","value":{"a":[]}}]`, strings.TrimSuffix(o, "}") + `,"m":{"a":[]}}`},
		{"add over a member", `[{"op":"add","path":"/n","value":3}]`, strings.Replace(o, "1.50", "3", 1)},
		{"insert, append and prepend", `[{"op":"add","path":"/l/1","value":"x"},{"op":"add","path":"/l/-","value":"y"},{"op":"add","path":"/l/0","value":"z"},{"op":"add","path":"/e/0","value":1}]`,
			strings.Replace(strings.Replace(o, `["a","b"]`, `["z","a","x","b","y"]`, 1), "[]", "[1]", 1)},
		{"remove elements", `[{"op":"remove","path":"/l/1"},{"op":"remove","path":"/l/0"}]`, strings.Replace(o, `["a","b"]`, `[]`, 1)},
		{"remove the first element", `[{"op":"remove","path":"/l/0"}]`, strings.Replace(o, `["a","b"]`, `["b"]`, 1)},
		{"remove a member", `[{"op":"remove","path":"/l"}]`, strings.Replace(o, `"l":["a","b"],`, ``, 1)},
		{"escaped names", `[{"op":"replace","path":"/o/p~1q","value":5},{"op":"remove","path":"/o/~0"}]`, strings.Replace(o, `{"p/q":1,"~":2}`, `{"p/q":5}`, 1)},
		{"move", `[{"op":"move","from":"/n","path":"/o/n"}]`, strings.Replace(strings.Replace(o, `"n":1.50,`, "", 1), `"~":2`, `"~":2,"n":1.50`, 1)},
		{"copy", `[{"op":"copy","from":"/l/0","path":"/e/-"}]`, strings.Replace(o, "[]", `["a"]`, 1)},
		{"test", `[{"op":"test","path":"/n","value":1.5},{"op":"test","path":"/o","value":{"~":2,"p/q":1.0}}]`, o},
		{"the whole", `[{"op":"replace","path":"","value":{"type":"y","id":"z"}}]`, `{"type":"y","id":"z"}`},
	} {
		got, err := mustParse(t, o).Apply([]byte(c.patch))
		if err != nil || string(got.Raw()) != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", c.name, err, got.Raw(), c.want)
		}
	}
	for name, patch := range map[string]string{
		"no list": `{}`, "no JSON": `[`, "no op": `[{"path":"/n"}]`, "no path": `[{"op":"add","value":1}]`, "no value": `[{"op":"add","path":"/n"}]`,
		"unknown op": `[{"op":"merge","path":"/n","value":1}]`, "missing member": `[{"op":"replace","path":"/zz","value":1}]`, "missing parent": `[{"op":"add","path":"/zz/a","value":1}]`,
		"index too far": `[{"op":"add","path":"/l/3","value":1}]`, "leading zero": `[{"op":"replace","path":"/l/00","value":1}]`, "no pointer": `[{"op":"remove","path":"n"}]`,
		"test fails": `[{"op":"test","path":"/n","value":2}]`, "into itself": `[{"op":"move","from":"/o","path":"/o/x"}]`, "the whole": `[{"op":"remove","path":""}]`, "behind the last": `[{"op":"remove","path":"/l/-"}]`,
		"into a number": `[{"op":"add","path":"/n/x","value":1}]`,
	} {
		if got, err := mustParse(t, o).Apply([]byte(patch)); !errors.Is(err, ErrPatch) {
			t.Errorf("%s: got %s, %v", name, got.Raw(), err)
		}
	}
	if _, err := mustParse(t, o).Apply([]byte(`[{"op":"remove","path":"/id"}]`)); !errors.Is(err, ErrObjectID) {
		t.Errorf("an object without id: %v", err)
	}
}

func TestDiffLeadsThereAndBack(t *testing.T) {
	a := mustParse(t, `{"type":"x","id":"x","name":"old","labels":["a","b","c"],"score":1.0,"ext":{"k":{"s":1},"gone":true},"list":[{"a":1},{"b":2}]}`)
	b := mustParse(t, `{"id":"x","type":"x","name":"new","labels":["a","c","d"],"score":1,"ext":{"k":{"s":2}},"list":[{"a":1},{"b":3},4],"more":null}`)
	there, back := Diff(a, b), Diff(b, a)
	if got, err := a.Apply(there); err != nil || !got.Equal(b) {
		t.Errorf("%s: %s %v", there, got.Raw(), err)
	}
	if got, err := b.Apply(back); err != nil || !got.Equal(a) {
		t.Errorf("%s: %s %v", back, got.Raw(), err)
	}
	if got := string(Diff(a, a)); got != "[]" {
		t.Error(got)
	}
	var words []string
	for _, c := range Changes(a, b) {
		words = append(words, c.String())
	}
	want := []string{
		`/name changed from "old" to "new"`, `/labels/1 changed from "b" to "c"`, `/labels/2 changed from "c" to "d"`,
		`/ext/gone removed: true`, `/ext/k/s changed from 1 to 2`, `/list/1/b changed from 2 to 3`, `/list/2 added: 4`, `/more added: null`,
	}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"name", "labels", "ext", "list", "more"}, Changed(a, b)); diff != "" {
		t.Error(diff)
	}
}

func TestMergeKeepsWhatEitherHas(t *testing.T) {
	older := mustParse(t, `{"type":"x","id":"x","name":"old","labels":["a","b"],"aliases":["z"]}`)
	newer := mustParse(t, `{"type":"x","id":"x","labels":["b","c"],"name":"new"}`)
	got, err := Merge(older, newer)
	if want := `{"type":"x","id":"x","labels":["b","c","a"],"name":"new","aliases":["z"]}`; err != nil || string(got.Raw()) != want {
		t.Errorf("%v\n got %s\nwant %s", err, got.Raw(), want)
	}
}

// FuzzDiff checks that a diff leads from any object to any other.
func FuzzDiff(f *testing.F) {
	f.Add([]byte(`{"type":"x","id":"x","a":[1,2,{"b":1}]}`), []byte(`{"type":"x","id":"x","a":[2,{"b":2},3],"/~":1}`))
	f.Fuzz(func(t *testing.T, x, y []byte) {
		a, err := Parse(x)
		if err != nil {
			return
		}
		b, err := Parse(y)
		if err != nil || len(a.Flaws())+len(b.Flaws()) > 0 {
			return
		}
		patch := Diff(a, b)
		got, err := a.Apply(patch)
		if err != nil {
			t.Fatalf("%s: %v", patch, err)
		}
		if !got.Equal(b) {
			t.Fatalf("%s leads to %s instead of %s", patch, got.Raw(), b.Raw())
		}
		if m, err := Merge(a, b); err != nil || m.ID() != b.ID() {
			t.Fatal(m, err)
		}
	})
}
