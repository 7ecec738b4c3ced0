package stix

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitReproducesTheReferenceSplitter(t *testing.T) {
	raw, err := os.ReadFile(vectors + "split.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Input struct {
			ID      string
			Objects []Object
		}
		Results []struct {
			Cleanup      bool `json:"cleanup_inconsistent_bundle"`
			Expectations int
			Incompatible []struct{ ID string } `json:"incompatible_items"`
			Bundles      []any
		}
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	for _, want := range v.Results {
		pieces, dropped, err := Split(v.Input.ID, v.Input.Objects, SplitOptions{Cleanup: want.Cleanup})
		if err != nil {
			t.Fatal(err)
		}
		var got []any
		for _, p := range pieces {
			var bundle any
			if err := json.Unmarshal(p.Bundle, &bundle); err != nil {
				t.Fatal(err)
			}
			got = append(got, bundle)
		}
		if diff := cmp.Diff(want.Bundles, got); diff != "" || len(got) != want.Expectations {
			t.Errorf("cleanup %v: %d bundles: %s", want.Cleanup, len(got), diff)
		}
		var lost, wantLost []string
		for _, d := range dropped {
			lost = append(lost, d.ID)
			t.Log(d)
		}
		for _, item := range want.Incompatible {
			wantLost = append(wantLost, item.ID)
		}
		if diff := cmp.Diff(wantLost, lost); diff != "" {
			t.Error(diff)
		}
	}
	if len(v.Results) != 2 {
		t.Errorf("%d results", len(v.Results))
	}
}

func TestSplitKeepsKnownMarkings(t *testing.T) {
	o := mustParse(t, `{"type":"malware","id":"malware--1","object_marking_refs":["`+Red.MarkingID()+`","marking-definition--x"],"created_by_ref":"identity--1"}`)
	pieces, _, err := Split("bundle--1", []Object{o}, SplitOptions{Cleanup: true, Keep: KnownMarking, EventVersion: "4"})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"bundle","id":"bundle--1","spec_version":"2.1","x_opencti_seq":1,"objects":[{"type":"malware","id":"malware--1","object_marking_refs":["` +
		Red.MarkingID() + `"],"created_by_ref":null,"nb_deps":1}],"x_opencti_event_version":"4"}`
	if got := string(pieces[0].Bundle); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if diff := cmp.Diff([]string{"marking-definition--x", "identity--1"}, pieces[0].Pruned); diff != "" {
		t.Error(diff)
	}
}

func TestSplitDropsNothingInSilence(t *testing.T) {
	var objs []Object
	for _, raw := range []string{
		`{"type":"malware","id":"malware--1","name":"old"}`,
		`{"type":"x-thing","id":"x-thing--1"}`,
		`{"type":"relationship","id":"relationship--1","source_ref":"malware--1","target_ref":"x-thing--1"}`,
		`{"type":"relationship","id":"relationship--2","source_ref":"malware--1"}`,
		`{"type":"sighting","id":"sighting--1","sighting_of_ref":"malware--1","where_sighted_refs":["x-thing--1"]}`,
		`{"type":"malware","id":"malware--1","name":"new"}`,
	} {
		objs = append(objs, mustParse(t, raw))
	}
	pieces, dropped, err := Split("", objs, SplitOptions{})
	if err != nil || len(pieces) != 1 || pieces[0].Object.Text("name") != "new" {
		t.Fatalf("%v %v", pieces, err)
	}
	want := []Dropped{
		{"malware--1", "malware", "another object with the same id follows"},
		{"x-thing--1", "x-thing", "unsupported type x-thing"},
		{"relationship--1", "relationship", "relationship without its target_ref: the reference was removed"},
		{"relationship--2", "relationship", "relationship without target_ref"},
		{"sighting--1", "sighting", "sighting without its where_sighted_refs: the reference was removed"},
	}
	if diff := cmp.Diff(want, dropped); diff != "" {
		t.Error(diff)
	}
}

func TestSplitEndsOnCycles(t *testing.T) {
	objs := []Object{
		mustParse(t, `{"type":"report","id":"report--1","object_refs":["report--2","report--1"]}`),
		mustParse(t, `{"type":"report","id":"report--2","object_refs":["report--3"]}`),
		mustParse(t, `{"type":"report","id":"report--3","object_refs":["report--1"]}`),
	}
	pieces, _, err := Split("", objs, SplitOptions{})
	if err != nil || len(pieces) != 3 {
		t.Fatalf("%v %v", pieces, err)
	}
}
