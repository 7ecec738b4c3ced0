package stix_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"testing"

	"github.com/stixbridge/stixbridge/internal/testpeer"
	"github.com/stixbridge/stixbridge/stix"
)

// TestIDsAgreeWithTheReferenceLibrariesOnOddInput compares with pycti and stix2 on objects
// with values of the wrong type, odd white space, odd hashes and odd dates. Where they have
// an id there must be the same one. Where they have none because the object breaks a rule
// that does not concern the id, there may be one.
func TestIDsAgreeWithTheReferenceLibrariesOnOddInput(t *testing.T) {
	python := testpeer.Python(t)
	cmd := exec.CommandContext(t.Context(), python, "testdata/ids.py", "testdata/stix-ids.jsonl", "1", "3000")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.Bytes())
	}
	d := json.NewDecoder(bytes.NewReader(out))
	compared := 0
	for {
		var text string
		var want *string
		if err := d.Decode(&[]any{&text, &want}); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got, err := stix.ID([]byte(text))
		if want == nil {
			continue
		}
		compared++
		if err != nil || got != *want {
			t.Errorf("%s: got %q, %v, want %s", text, got, err, *want)
		}
	}
	if compared < 1500 {
		t.Errorf("only %d objects had an id", compared)
	}
}
