package opencti

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// What walk finds is what a JSON decoder finds, and what it accepts with valid values is JSON.
func FuzzWalk(f *testing.F) {
	for _, s := range []string{`{}`, ` { "a" : 1 , "b":[{"c":"}\""}] } `, `{"a":1}{`, `{"a":tru}`, `{"a" 1}`, `{"a":1,}`, `{,}`, `{"a":"\\"}`, `[]`, `{"a":{"b":[1,2,{"c":null}]},"a":-1.5e+3}`, `{"a":]}`, `{"a":"`} {
		f.Add([]byte(s))
	}
	type member struct{ Name, Value string }
	f.Fuzz(func(t *testing.T, text []byte) {
		var got []member
		fine := true
		err := walk(text, func(name, value []byte) error {
			fine = fine && valid(value) && valid(append(append([]byte{'"'}, name...), '"'))
			got = append(got, member{string(name), string(value)})
			return nil
		})
		whole := bytes.TrimLeft(text, " \t\r\n")
		if !valid(text) || len(whole) == 0 || whole[0] != '{' {
			if err == nil && fine {
				t.Fatalf("%q was accepted: %q", text, got)
			}
			return
		}
		var want []member
		d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		if _, derr := d.ReadToken(); derr != nil {
			t.Skip()
		}
		for d.PeekKind() != '}' {
			name, derr := d.ReadValue()
			if derr != nil {
				t.Skip() // deeper than that decoder goes
			}
			raw := string(name[1 : len(name)-1])
			value, derr := d.ReadValue()
			if derr != nil {
				t.Skip()
			}
			want = append(want, member{raw, string(value)})
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	})
}

// An event is read without copies but for the few texts that outlive it.
func TestReadingAnEventAllocatesNextToNothing(t *testing.T) {
	data := []byte(object(1, "x", `,"origin":{"user_id":"u","referer":""},"context":{"reverse_patch":[{"op":"replace","path":"/name","value":"y"}]}`))
	if !json.Valid(data) {
		t.Fatalf("%s", data)
	}
	m := message{ID: "1000-0", Name: "update", Data: data}
	p := &producer{platform: "p"}
	most := 5.0 // head of the object, its alias, the user, and the event's identity twice
	if n := testing.AllocsPerRun(200, func() {
		if _, err := p.change(m, false); err != nil {
			t.Fatal(err)
		}
	}); n > most {
		t.Errorf("%v allocations an event, at most %v are expected", n, most)
	}
}
