package build

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/stixbridge/stixbridge/internal/testpeer"
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
