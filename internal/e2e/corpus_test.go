package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// corpus is a source's content: objects with a revision each.
type corpus struct {
	name string
	rev  []int
}

func newCorpus(name string, n int) *corpus { return &corpus{name, make([]int, n)} }

// id of the i-th object.
func (c *corpus) id(i int) string { return fmt.Sprintf("malware--%08x-0000-4000-8000-000000000000", i) }

// touch changes about a share of the objects.
func (c *corpus) touch(r *rand.Rand, share float64) {
	for i := range c.rev {
		if r.Float64() < share {
			c.rev[i]++
		}
	}
}

// bundle is the content as STIX. modified stays the same: feeds do that.
func (c *corpus) bundle() string {
	objects := make([]string, len(c.rev))
	for i := range c.rev {
		objects[i] = fmt.Sprintf(`{"type":"malware","spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","name":"%s %d","is_family":false,"description":"revision %d of a program that does what such programs do: it calls home and waits"}`,
			c.id(i), c.name, i, c.rev[i])
	}
	return bundle(objects...)
}

// bundle of objects.
func bundle(objects ...string) string {
	return `{"type":"bundle","id":"bundle--11111111-1111-4111-8111-111111111111","objects":[` + strings.Join(objects, ",\n") + "]}\n"
}

// holds checks that the target's state is the corpus.
func (c *corpus) holds(t testing.TB, got []line) {
	t.Helper()
	m := state(got)
	wrong := 0
	for i, rev := range c.rev {
		var o struct{ Description string }
		if l, ok := m[c.id(i)]; ok {
			if err := json.Unmarshal(l.Object, &o); err != nil {
				t.Fatal(err)
			}
		}
		if !strings.HasPrefix(o.Description, fmt.Sprintf("revision %d ", rev)) {
			if wrong++; wrong <= 5 {
				t.Errorf("%s: the target holds %.20q, want revision %d", c.id(i), o.Description, rev)
			}
		}
		delete(m, c.id(i))
	}
	if wrong > 0 {
		t.Errorf("%d of %d objects are not current at the target", wrong, len(c.rev))
	}
	for id := range m {
		t.Errorf("the target holds %s, which the source does not have", id)
	}
}

// thing is an object of a type with further members.
func thing(typ string, n int, members string) string {
	if members != "" {
		members = "," + members
	}
	return fmt.Sprintf(`{"type":%q,"spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z"%s}`, typ, thingID(typ, n), members)
}

func thingID(typ string, n int) string {
	return fmt.Sprintf("%s--%08x-1111-4111-8111-111111111111", typ, n)
}

const (
	markGreen = `"object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"]` // TLP 2.0
	markRed   = `"object_marking_refs":["marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"]`
	markAmber = `"object_marking_refs":["marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"]`
)
