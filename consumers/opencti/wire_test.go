package opencti

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stixbridge/stixbridge/internal/testpeer"
	"github.com/stixbridge/stixbridge/stix"
)

func read(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func small(t *testing.T) (objs []stix.Object, bundle map[string]any) {
	var v struct {
		Input struct{ Objects []json.RawMessage }
	}
	read(t, "splitter-small-bundle.json", &v)
	var list []any
	for _, raw := range v.Input.Objects {
		o, err := stix.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		objs = append(objs, o)
		list = append(list, asMap(t, raw))
	}
	return objs, map[string]any{"type": "bundle", "id": "bundle--6f2f8f60-2a1e-4b7b-9d6a-0c8f6f1c2d01", "objects": list}
}

func TestMessagesAreThoseOfOpenCTIsOwnClient(t *testing.T) {
	var v struct {
		Captures []struct {
			Messages []struct {
				Exchange   string
				RoutingKey string `json:"routing_key"`
				Properties map[string]any
				Body       map[string]any
				Content    map[string]any `json:"content_decoded"`
			}
		}
	}
	read(t, "amqp-push-messages.json", &v)
	want := v.Captures[0].Messages

	g := amqpRig(t)
	objs, _ := small(t)
	g.deliver(g.creates(objs...)...)
	got := g.queued()
	if len(got) != len(want) {
		t.Fatalf("%d messages, the client sent %d", len(got), len(want))
	}
	for i, d := range got {
		w := want[i]
		if d.Exchange != w.Exchange || d.RoutingKey != "push_routing_"+g.id() || d.ContentEncoding != w.Properties["content_encoding"] || float64(d.DeliveryMode) != w.Properties["delivery_mode"] {
			t.Errorf("message %d: %+v", i, d)
		}
		if d.MessageId == "" || d.ContentType != "" || len(d.Headers) > 0 || d.Expiration != "" {
			t.Errorf("message %d: properties %+v", i, d)
		}
		body := asMap(t, d.Body)
		if d := cmp.Diff(slices.Sorted(maps.Keys(w.Body)), slices.Sorted(maps.Keys(body))); d != "" {
			t.Errorf("message %d: keys %s", i, d)
		}
		for _, k := range []string{"bundle_type", "action_sequence", "entities_types", "update", "draft_id", "no_split"} {
			if diff := cmp.Diff(w.Body[k], body[k]); diff != "" {
				t.Errorf("message %d: %s: %s", i, k, diff)
			}
		}
		if body["applicant_id"] != g.p.User() || body["work_id"] != g.p.Works()[0].ID {
			t.Errorf("message %d: applicant %v, work %v", i, body["applicant_id"], body["work_id"])
		}
		content, err := base64.StdEncoding.DecodeString(body["content"].(string))
		if err != nil {
			t.Fatal(err)
		}
		// The capture was cleaned of references to what was not in its bundle; those stay here, as do the weights that count them.
		bundle := asMap(t, content)
		delete(bundle, "id")
		delete(w.Content, "id")
		ignore := cmpopts.IgnoreMapEntries(func(k string, _ any) bool {
			return k == "object_marking_refs" || k == "object_refs" || k == "nb_deps" || k == "x_opencti_seq"
		})
		if d := cmp.Diff(w.Content, bundle, ignore); d != "" {
			t.Errorf("message %d (-client +ours):\n%s", i, d)
		}
	}
	if w := g.p.Works()[0]; w.Expected != len(want) || !w.Multi {
		t.Errorf("work %+v", w)
	}
}

func TestOpenCTIsOwnClientDecodesAndSplitsWhatWeSend(t *testing.T) {
	python := testpeer.Python(t, "pycti")
	g := amqpRig(t)
	objs, bundle := small(t)
	more := []stix.Object{identity(t, 1), malware(t, 2), indicator(t, 3, `,"created_by_ref":"`+nid("identity", 1)+`"`), obj(t, `{"type":"note","id":%q,"content":"ä\u2028<&>\"","object_refs":[%q]}`, nid("note", 4), nid("malware", 2))}
	for _, o := range more {
		bundle["objects"] = append(bundle["objects"].([]any), asMap(t, o.Raw()))
	}
	g.deliver(g.creates(append(objs, more...)...)...)
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, d := range g.queued() {
		_ = enc.Encode(map[string]any{"body": json.RawMessage(d.Body)})
	}
	_ = enc.Encode(map[string]any{"bundle": bundle})
	cmd := exec.Command(python, "testdata/judge.py")
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var verdict struct {
		Messages, Expected [][2]any
		Complaints         []string
	}
	if err := json.Unmarshal(out, &verdict); err != nil {
		t.Fatal(err)
	}
	if len(verdict.Complaints) > 0 {
		t.Errorf("complaints: %q", verdict.Complaints)
	}
	if d := cmp.Diff(verdict.Expected, verdict.Messages); d != "" || len(verdict.Messages) < 9 {
		t.Errorf("%d messages (-client +ours):\n%s", len(verdict.Messages), d)
	}
}
