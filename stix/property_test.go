package stix_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/stix"
	"github.com/stixbridge/stixbridge/stix/validate"
)

func parse(t *testing.T, raw []byte) stix.Object {
	t.Helper()
	o, err := stix.Parse(raw)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return o
}

func read(t *testing.T, path string) map[string]stix.Object {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	opened, err := stix.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	m := map[string]stix.Object{}
	r := stix.NewReader(opened)
	for {
		e, err := r.Next()
		if err == io.EOF {
			return m
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.Err == nil {
			m[e.Object.ID()] = e.Object
		}
	}
}

// thereAndBack checks that a patch leads from one version to another, and its reverse back.
func thereAndBack(t *testing.T, a, b stix.Object) {
	t.Helper()
	patch, reverse := stix.Diff(a, b), stix.Diff(b, a)
	if !json.Valid(patch) {
		t.Fatalf("no JSON: %s", patch)
	}
	got, err := a.Apply(patch)
	if err != nil || !got.Equal(b) {
		t.Fatalf("%s\nleads from %s\nto %s, %v\nnot %s", patch, a.Raw(), got.Raw(), err, b.Raw())
	}
	back, err := got.Apply(reverse)
	if err != nil || !back.Equal(a) {
		t.Fatalf("%s\nleads back to %s, %v\nnot %s", reverse, back.Raw(), err, a.Raw())
	}
	changes := stix.Changes(a, b)
	if (len(changes) == 0) != a.Equal(b) || (len(stix.Changed(a, b)) == 0) != a.Equal(b) {
		t.Fatalf("%d changes between %s and %s", len(changes), a.Raw(), b.Raw())
	}
	for _, c := range changes {
		if s := c.String(); s == "" || len(s) > 1000 {
			t.Fatalf("%q", s)
		}
	}
}

func TestPatchesBetweenRealVersions(t *testing.T) {
	old, new := read(t, "../testdata/ics-attack-17.1.json.gz"), read(t, "../testdata/ics-attack.json.gz")
	changed := 0
	for id, a := range old {
		if b, ok := new[id]; ok {
			thereAndBack(t, a, b)
			if !a.Equal(b) {
				changed++
			}
			merges(t, a, b)
		}
	}
	if changed != 147 {
		t.Errorf("%d changed, want 147", changed)
	}
}

func TestPatchesBetweenRandomObjects(t *testing.T) {
	for seed := range uint64(1500) {
		g := generator{rand.New(rand.NewPCG(seed, 2))}
		a, b := g.object(t), g.object(t)
		thereAndBack(t, a, b)
		thereAndBack(t, a, a)
		merges(t, a, b)
	}
}

// merges checks what holds for every merge.
func merges(t *testing.T, older, newer stix.Object) {
	t.Helper()
	m, err := stix.Merge(older, newer)
	if err != nil {
		t.Fatal(err)
	}
	var a, b, got map[string]any
	for o, into := range map[stix.Object]*map[string]any{older: &a, newer: &b, m: &got} {
		if err := o.Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	if older == newer {
		b = a
	}
	for name, value := range got {
		was, hadOld := a[name]
		is, hasNew := b[name]
		_, listed := is.([]any)
		_, wasListed := was.([]any)
		switch {
		case !hadOld && !hasNew:
			t.Fatalf("%s came out of nothing", name)
		case !hasNew && !cmp.Equal(value, was), hasNew && !(listed && wasListed) && !cmp.Equal(value, is):
			t.Fatalf("%s became %v out of %v and %v", name, value, was, is)
		}
		if listed && wasListed {
			found := map[string]int{}
			for _, x := range value.([]any) {
				found[text(t, x)]++
			}
			for _, x := range append(is.([]any), was.([]any)...) {
				if n := found[text(t, x)]; n != 1 {
					t.Fatalf("%s: %v stands %d times in %v", name, x, n, value)
				}
			}
		}
	}
	for _, names := range []map[string]any{a, b} {
		for name := range names {
			if _, ok := got[name]; !ok {
				t.Fatalf("%s got lost", name)
			}
		}
	}
	again, err := stix.Merge(older, m)
	if err != nil || !again.Equal(m) {
		t.Fatalf("merging again gives %s, %v\nnot %s", again.Raw(), err, m.Raw())
	}
}

func text(t *testing.T, value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// generator makes random objects that often have something in common.
type generator struct{ *rand.Rand }

func (g generator) object(t *testing.T) stix.Object {
	members := map[string]any{"type": "x-y", "id": "x-y--1"}
	for range g.IntN(6) {
		members[g.name()] = g.value(3)
	}
	raw, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, raw)
}

func (g generator) name() string {
	return []string{"labels", "name", "a", "b", "", "a/b", "~", "~1", "é", "0", "-"}[g.IntN(11)]
}

func (g generator) value(depth int) any {
	switch n := g.IntN(10); {
	case n < 3 && depth > 0:
		list := []any{}
		for range g.IntN(5) {
			v := g.value(depth - 1)
			if !slices.ContainsFunc(list, func(other any) bool { return cmp.Equal(v, other) }) {
				list = append(list, v)
			}
		}
		return list
	case n < 5 && depth > 0:
		m := map[string]any{}
		for range g.IntN(4) {
			m[g.name()] = g.value(depth - 1)
		}
		return m
	}
	return []any{nil, true, false, 0, 1, -1.5, 1e21, "", "x", "é\u2028\"\\", "0"}[g.IntN(11)]
}

// TestLiftedReportsAreValid lifts real reports of STIX 2.0. The two objects that are invalid
// in 2.0 already stay the only ones.
func TestLiftedReportsAreValid(t *testing.T) {
	invalid, count := 0, 0
	for _, name := range []string{"2024-02-27-Akira-Ransomware", "2024-05-14-DarkGate", "NOBELIUM"} {
		for id, o := range read(t, "../../shared/data/stix-unit42-reports/"+name+".json") {
			lifted, err := stix.Lift(o)
			if err != nil {
				t.Errorf("%s: %v", id, err)
				continue
			}
			for _, l := range lifted {
				count++
				if errs := validate.Object(l); errs != nil {
					invalid++
					t.Log(l.ID(), errs)
				}
				twice, err := stix.Lift(l)
				if err != nil || len(twice) != 1 || !twice[0].Equal(l) {
					t.Errorf("%s: lifting twice gives %v, %v", id, twice, err)
				}
			}
		}
	}
	if invalid > 2 || count < 50 {
		t.Errorf("%d of %d are invalid", invalid, count)
	}
}
