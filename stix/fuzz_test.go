package stix

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/gowebpki/jcs"
)

func seeds(f *testing.F) {
	for _, s := range []string{
		`{"type":"indicator","id":"indicator--1","name":"\ud83d\ude00 é","x":[1,-0.5e3,true,null,{"a":{}}]}`,
		` { "type" : "x" , "id" : "y" , "id" : "z" } `,
		`{"type":"bundle","id":"bundle--1","objects":[{"type":"x","id":"y"},1,{"type":"x"}],"z":1}`,
		`{"more":false,"objects":[]}`, `[{"type":"x","id":"y"}]`, "{\"type\":\"x\",\"id\":\"y\"}\n{\"type\":\"x\"}\n\n{",
		`{"type":"file","hashes":{"md5":"d41d8cd98f00b204e9800998ecf8427e"},"extensions":{"ntfs-ext":{"size":"1"}}}`,
		`{"type":"location","name":"İΣ","latitude":1e400}`, `"\ud800"`, "\xff", `[[[[`, "\xef\xbb\xbf{}",
		`{"type":"network-traffic","protocols":["tcp"],"start":"2024-1-1T0:0:0.10Z","src_port":"80"}`,
	} {
		f.Add([]byte(s))
	}
}

// FuzzParse compares the scanner with an independent one: the same inputs are JSON, and
// what is kept is the same value.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		value, err := compact(raw)
		want := jsontext.Value(bytes.Clone(raw))
		wantErr := want.Compact(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		if wantErr == nil && err != nil && utf8.Valid(raw) && depth(raw) < MaxDepth {
			t.Fatalf("refused: %v", err)
		}
		if wantErr != nil && err == nil {
			t.Fatalf("accepted what is no JSON: %v", wantErr)
		}
		if err == nil && !bytes.Equal(value, want) {
			t.Fatalf("got %q, want %q", value, want)
		}
		if err == nil {
			d := json.NewDecoder(bytes.NewReader(raw))
			d.UseNumber()
			var want any
			if got, err := Value(raw); err != nil || d.Decode(&want) == nil && !reflect.DeepEqual(got, want) {
				t.Fatalf("got %#v, want %#v, %v", got, want, err)
			}
		}
		o, err := Parse(raw)
		if err != nil {
			return
		}
		again, err := Parse(o.Raw())
		if err != nil || again.ID() != o.ID() || again.Type() != o.Type() || again.Digest() != o.Digest() {
			t.Fatalf("%q does not parse into itself: %v", o.Raw(), err)
		}
		o.Flaws()
		o.Refs()
		o.Markings()
		o.GrantedRefs()
		var m Markings
		m.Learn(o)
		m.TLP(o)
		if _, err := o.Set("x", 1); err != nil {
			t.Fatal(err)
		}
		if lifted, err := Lift(o); err == nil && len(lifted) == 0 {
			t.Fatal("lifting lost the object")
		}
		if _, _, err := Split("", []Object{o}, SplitOptions{}); err != nil {
			t.Fatal(err)
		}
	})
}

func depth(raw []byte) (deepest int) {
	n := 0
	for _, c := range raw {
		switch c {
		case '{', '[':
			n++
			deepest = max(deepest, n)
		case '}', ']':
			n--
		}
	}
	return deepest
}

// FuzzReader checks that the result does not depend on how the input arrives.
func FuzzReader(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		all := func(src io.Reader) (list []string) {
			r := NewReader(src)
			r.Max = 300
			for {
				e, err := r.Next()
				if err != nil {
					return append(list, r.Format(), r.Bundle(), err.Error())
				}
				if (e.Err == nil) != !e.Object.IsZero() {
					t.Fatal("an element must have an object or an error")
				}
				list = append(list, string(e.Raw))
				if len(list) > len(raw) {
					t.Fatal("more elements than bytes")
				}
			}
		}
		whole, single := all(bytes.NewReader(raw)), all(iotest.OneByteReader(bytes.NewReader(raw)))
		if len(whole) != len(single) {
			t.Fatalf("%q\n%q", whole, single)
		}
		for i := range whole {
			if whole[i] != single[i] && i < len(whole)-1 {
				t.Fatalf("%q\n%q", whole, single)
			}
		}
	})
}

// FuzzCanonical compares the canonical form with the reference library's.
func FuzzCanonical(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := Canonical(raw)
		if err != nil {
			return
		}
		if again, err := Canonical(got); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q is not its own canonical form: %q %v", got, again, err)
		}
		if got[0] == '{' || got[0] == '[' {
			want, err := jcs.Transform(raw)
			if err == nil && !bytes.Equal(want, got) {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
		want := jsontext.Value(bytes.Clone(raw))
		if err := want.Canonicalize(); err != nil || !bytes.Equal(want, got) {
			t.Fatalf("got %q, want %q, %v", got, want, err)
		}
	})
}

// FuzzID checks that an id depends on the content alone.
func FuzzID(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		id, err := ID(raw)
		if err != nil {
			return
		}
		typ, uuid, ok := bytes.Cut([]byte(id), []byte("--"))
		if !ok || len(typ) == 0 || !uuidShape(string(uuid)) {
			t.Fatalf("%q is no id", id)
		}
		if value, err := compact(raw); err == nil {
			if again, err := ID(value); err != nil || again != id {
				t.Fatalf("white space changes the id: %q %q %v", id, again, err)
			}
		}
	})
}
