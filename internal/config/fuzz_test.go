package config

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/oasdiff/yaml"
)

func seeds(f *testing.F) {
	good, err := os.ReadFile("testdata/good.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, c := range wrong {
		f.Add([]byte(strings.TrimPrefix(c.text, "\n")))
	}
}

// FuzzParse: whatever the bytes, there is a configuration or a list of complaints, never a panic, and each complaint
// about the file has a place.
func FuzzParse(f *testing.F) {
	seeds(f)
	kinds := plugins()
	reg, err := newRegistry(kinds)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parse("c.yaml", text, goodEnv, kinds, reg)
		if err == nil {
			Redacted(l)
			return
		}
		problems, ok := err.(Problems)
		if !ok || len(problems) == 0 {
			t.Fatalf("no list of problems: %v", err)
		}
		for _, p := range problems {
			if strings.HasPrefix(p.File, "env:") {
				continue
			}
			if len(text) <= maxFile && (p.Line < 1 || p.Col < 1 || p.Line > lineBreaks(string(text))+2) {
				t.Errorf("no place in %q: %+v", text, p)
			}
		}
	})
}

// FuzzRead: what is read with positions equals what the plain decoder makes of the same text.
func FuzzRead(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.ContainsAny(string(text), "$!") { // variables and tags are ours to treat
			return
		}
		var r report
		n := newDocument("c.yaml", text, func(string) (string, bool) { return "", false }, &r).read(text)
		if n == nil || len(r.all) > 0 {
			return
		}
		var want any
		if _, err := yaml.Unmarshal(text, &want, yaml.DecodeOpts{DisableTimestamps: true}); err != nil {
			return // what it refuses, the schema may still allow
		}
		var got any
		if err := json.Unmarshal(n.json(), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(want, got) && !keysDiffer(want, got) {
			t.Errorf("%q, -want +got:\n%s", text, cmp.Diff(want, got))
		}
	})
}

// keysDiffer excuses what the plain decoder rewrites: keys that are numbers or words for true and null.
func keysDiffer(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok {
			return false
		}
		for k, v := range a {
			if w, there := m[k]; !there || keysDiffer(v, w) {
				return true
			}
		}
		return len(a) != len(m)
	case []any:
		l, ok := b.([]any)
		for i := range a {
			if ok && i < len(l) && keysDiffer(a[i], l[i]) {
				return true
			}
		}
	}
	return false
}

func lineBreaks(s string) (n int) {
	for _, r := range s {
		if strings.ContainsRune("\n\r\u2028\u2029\u0085", r) {
			n++
		}
	}
	return n
}
