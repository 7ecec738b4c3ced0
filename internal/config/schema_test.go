package config

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/oasdiff/yaml"
	judge "github.com/santhosh-tekuri/jsonschema/v6"
)

// editor judges YAML as an editor with the published schema would.
func editor(t *testing.T) func(text string) error {
	t.Helper()
	b, err := Schema(plugins())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := judge.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := judge.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("config.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		var v any
		if _, err := yaml.Unmarshal([]byte(text), &v, yaml.DecodeOpts{DisableTimestamps: true}, func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d }); err != nil {
			return err
		}
		return s.Validate(v)
	}
}

func TestThePublishedSchema(t *testing.T) {
	check := editor(t)
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"a feed", "producers: [ { kind: feed, name: a, url: x, every: 24h } ]", true},
		{"variables in typed places", "producers: [ { kind: feed, name: '${N}', url: x, pages: '${P}', strict: '${S:-true}', format: '${F}', limit: '${L}' } ]", true},
		{"a secret in a file", "opencti: { url: 'https://x', token_file: x }\nproducers: [ { kind: opencti-live, name: a, url: 'https://x', stream: s, token_file: x } ]", true},
		{"a size as a number", "nats: { max_bytes: 1024 }", true},
		{"keys for anchors", "x-a: { b: c }", true},
		{"an unknown key", "producers: [ { kind: feed, name: a, url: x, evry: 24h } ]", false},
		{"a key of another kind", "producers: [ { kind: feed, name: a, url: x, stream: y } ]", false},
		{"an unknown kind", "producers: [ { kind: fed, name: a } ]", false},
		{"a missing key", "producers: [ { kind: feed, name: a } ]", false},
		{"a wrong type", "consumers: [ { kind: file, name: a, path: x, batch: many } ]", false},
		{"a wrong word", "log: { level: loud }", false},
		{"an unknown top-level key", "natz: {}", false},
	} {
		if err := check(c.text); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	golden(t, "schema.json", must(Schema(plugins())))
}

func TestTheReference(t *testing.T) {
	got := must(Reference(plugins()))
	golden(t, "reference.md", got)
	for _, want := range []string{"### producer `feed`", "`STIXBRIDGE_PRODUCERS_NAME_TLS_CA`", "`columns[].name`", "`64MiB`", "`STIXBRIDGE_NATS_URL`"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
