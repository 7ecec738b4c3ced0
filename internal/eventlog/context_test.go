package eventlog

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
)

func TestTheShortWayToAContextAgreesWithTheLongOne(t *testing.T) {
	for _, c := range []struct {
		text  string
		short bool
	}{
		{`{"bundle":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","position":12,"backfill":true}`, true},
		{`{"reason":"reclassified","prev":7,"next":true}`, true},
		{`{"reason":"renamed","new_id":"tool--1","into":"","prev":0,"source_event":"1-0","next":false}`, true},
		{`{"position":999999999999999}`, true},
		{`{"position":9999999999999999}`, false},
		{`{"prev":18446744073709551615}`, false},
		{`{"position":-1}`, false},
		{`{"position":1.0}`, false},
		{`{"position":01}`, false},
		{`{"reason":"a\nb"}`, false},
		{`{"reason":"ä"}`, false},
		{`{"reason":null}`, false},
		{`{"reason":"x","reason":"y"}`, false},
		{`{"Reason":"x"}`, false},
		{`{"reason" : "x"}`, false},
		{`{"reason":"x"} `, false},
		{`{"hops":["a"],"backfill":true}`, false},
		{`{"unknown":1,"backfill":true}`, false},
		{`{"backfill":truer}`, false},
		{`{"backfill":true,}`, false},
		{`{"backfill":true`, false},
		{`{"backfill"`, false},
		{`{}`, false},
		{`{`, false},
		{``, false},
		{`nonsense`, false},
	} {
		short, ok := flatContext(c.text)
		if ok != c.short {
			t.Errorf("%s: read the short way is %v, want %v", c.text, ok, c.short)
		}
		got, err := parseContext(c.text)
		want, wantErr := bridge.ParseContext([]byte(c.text))
		if (err != nil) != (wantErr != nil) {
			t.Errorf("%s: error %v, want %v", c.text, err, wantErr)
		}
		if d := cmp.Diff(want, got); d != "" && err == nil {
			t.Errorf("%s (-long +short):\n%s", c.text, d)
		}
		if d := cmp.Diff(want, short); ok && d != "" {
			t.Errorf("%s read the short way (-long +short):\n%s", c.text, d)
		}
	}
}

func FuzzContext(f *testing.F) {
	b, _ := json.Marshal(bridge.Context{Bundle: "bundle--1", Position: 3, Backfill: true, Prev: 4})
	f.Add(string(b))
	f.Add(`{"reason":"x","next":true}`)
	f.Add(`{"position":01}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := flatContext(text)
		if !ok {
			return
		}
		want, err := bridge.ParseContext([]byte(text))
		if err != nil {
			t.Fatalf("%q is read the short way, and the long one says %v", text, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-long +short):\n%s", text, d)
		}
	})
}
