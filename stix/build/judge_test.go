package build

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/internal/testpeer"
	"github.com/stixbridge/stixbridge/stix"
)

// TestTheReferenceToolsAgree lets the reference validator and OpenCTI's own client judge one
// of everything that can be built.
func TestTheReferenceToolsAgree(t *testing.T) {
	python := testpeer.Python(t, "pycti", "stix2-validator")
	list := samples(t)
	var in, errs bytes.Buffer
	for _, o := range list {
		in.Write(append(o.Raw(), '\n'))
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/judge.py")
	cmd.Stdin, cmd.Stderr = &in, &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.Bytes())
	}
	d := json.NewDecoder(bytes.NewReader(out))
	for _, o := range list {
		var valid, sent bool
		var problems []string
		var id string
		if err := d.Decode(&[]any{&valid, &problems, &id, &sent}); err != nil {
			t.Fatal(err)
		}
		if !valid || !sent {
			t.Errorf("%s: valid %v %q, sent %v", o.Raw(), valid, problems, sent)
		}
		if o.Type() != "marking-definition" && id != o.ID() {
			t.Errorf("%s: has %s, the client computes %s", o.Type(), o.ID(), id)
		}
	}
}

// TestTheImportCodeOfThePlatformsClientTellsThePlatformEverything imports one of everything
// with the code with which workers do it.
func TestTheImportCodeOfThePlatformsClientTellsThePlatformEverything(t *testing.T) {
	python := testpeer.Python(t, "pycti")
	list := samples(t)
	var in, errs bytes.Buffer
	for _, o := range list {
		in.Write(append(o.Raw(), '\n'))
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/import.py")
	cmd.Stdin, cmd.Stderr = &in, &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.Bytes())
	}
	d := json.NewDecoder(bytes.NewReader(out))
	for _, o := range list {
		var told struct {
			Mutation string
			Input    map[string]any
		}
		if err := d.Decode(&told); err != nil {
			t.Fatal(err)
		}
		if told.Mutation == "" || told.Input["stix_id"] != o.ID() {
			t.Errorf("%s: nothing was created", o.Raw())
			continue
		}
		var properties map[string]any
		if err := o.Decode(&properties); err != nil {
			t.Fatal(err)
		}
		names := map[string]string{"created_by_ref": "createdBy", "x_opencti_created_by_ref": "createdBy", "object_marking_refs": "objectMarking", "object_refs": "objects", "count": "attribute_count",
			"source_ref": "fromId", "target_ref": "toId", "sighting_of_ref": "fromId"}
		for _, name := range []string{"name", "description", "confidence", "created", "modified", "pattern", "pattern_type", "valid_from", "valid_until", "published", "first_seen", "last_seen",
			"start_time", "stop_time", "relationship_type", "source_ref", "target_ref", "sighting_of_ref", "count", "object_refs", "object_marking_refs", "created_by_ref", "x_opencti_created_by_ref",
			"x_opencti_score", "x_opencti_description", "x_opencti_detection", "x_opencti_main_observable_type", "is_family", "content", "latitude", "longitude"} {
			if _, observable := told.Input["type"]; o.Type() == "marking-definition" || name == "name" && observable && o.Created() == "" {
				continue // observables have their own property in an object of their own
			}
			to := name
			if names[name] != "" {
				to = names[name]
			}
			if want, ok := properties[name]; ok {
				if diff := cmp.Diff(want, told.Input[to]); diff != "" {
					t.Errorf("%s: %s: %s", o.ID(), name, diff)
				}
			}
		}
		for name, want := range properties {
			if strings.HasPrefix(name, "x_opencti_cvss_") && !cmp.Equal(want, told.Input[name]) {
				t.Errorf("%s: %s is %v, want %v", o.ID(), name, told.Input[name], want)
			}
		}
		for from, to := range map[string]string{"labels": "objectLabel", "x_opencti_labels": "objectLabel", "external_references": "externalReferences", "x_opencti_external_references": "externalReferences", "kill_chain_phases": "killChainPhases"} {
			want, _ := properties[from].([]any)
			if got, _ := told.Input[to].([]any); want != nil && len(got) != len(want) {
				t.Errorf("%s: %v of %v", o.ID(), got, want)
			}
		}
		if score, ok := o.Get("extensions", stix.OpenCTISCOExtension, "score"); ok && told.Input["x_opencti_score"] != 65.0 {
			t.Errorf("%s: score %s became %v", o.ID(), score, told.Input["x_opencti_score"])
		}
	}
}
