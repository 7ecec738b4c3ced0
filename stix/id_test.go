package stix

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

const vectors = "testdata/"

// lines reads a file of vectors, one JSON value a line, split at line feeds only.
func lines(tb testing.TB, path string) [][]byte {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var list [][]byte
	in := bufio.NewReader(f)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 1 {
			list = append(list, line)
		}
		if err != nil {
			return list
		}
	}
}

func TestIDsEqualTheReferenceClient(t *testing.T) {
	rows := lines(t, vectors+"stix-ids.jsonl")
	for _, line := range rows {
		var row struct{ Input, ID json.RawMessage }
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		input, want := row.Input, row.ID
		got, err := ID(input)
		switch {
		case string(want) == "null":
			if !errors.Is(err, ErrNoID) {
				t.Errorf("%s: got %q, %v, want none", input, got, err)
			}
		case err != nil:
			t.Errorf("%s: %v", input, err)
		case `"`+got+`"` != string(want):
			t.Errorf("%s: got %s, want %s", input, got, want)
		}
	}
	if len(rows) != 845 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestIDOfAMemberThatOccursTwiceIsThatOfTheLast(t *testing.T) {
	want, err := ID([]byte(`{"type":"domain-name","value":"example.org"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{
		`{"type":"domain-name","value":"other.example","value":"example.org"}`,
		`{"type":"url","value":7,"type":"domain-name","v\u0061lue":"example.org"}`,
	} {
		if got, err := ID([]byte(raw)); err != nil || got != want {
			t.Errorf("%s: got %s, %v", raw, got, err)
		}
	}
}

func TestIDsMayBeComputedConcurrently(t *testing.T) {
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for n := range 300 {
				raw := fmt.Appendf(nil, `{"type":"text","value":"%d","hashes":{"MD5":"x"}}`, n)
				if worker%2 == 0 {
					raw = fmt.Appendf(nil, `{"type":"file","name":"%d","hashes":{"x-%d":"y"}}`, n, n)
				}
				first, err := ID(raw)
				again, errAgain := ID(raw)
				if err != nil || errAgain != nil || first != again {
					t.Errorf("%s: %s and %s, %v", raw, first, again, err)
				}
			}
		})
	}
	group.Wait()
}
