package validate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type vector struct {
	Object json.RawMessage
	Valid  bool
	Errors []string
	Why    string
	Spec   string
}

func vectors(tb testing.TB) (list []vector) {
	tb.Helper()
	raw, err := os.ReadFile("../testdata/stix-validate.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	in := bufio.NewReader(bytes.NewReader(raw))
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return list
		}
		var v vector
		if err := json.Unmarshal(line, &v); err != nil {
			tb.Fatal(err)
		}
		list = append(list, v)
	}
}

func TestVectors(t *testing.T) {
	list := vectors(t)
	agree := 0
	for _, v := range list {
		errs := Raw(v.Object)
		if (len(errs) == 0) == v.Valid || v.Spec == "invalid" {
			agree++
			continue
		}
		t.Errorf("%s (%q): got %v\n%s", v.Why, v.Errors, errs, v.Object)
	}
	if len(list) != 160 {
		t.Errorf("%d vectors", len(list))
	}
}

func TestErrorsNamePlaceRuleAndSection(t *testing.T) {
	errs := Raw([]byte(`{"type":"bundle","id":"bundle--9b0c1d2e-3f4a-4b5c-8d6e-7f8091a2b3c4","objects":[
		{"type":"indicator","spec_version":"2.1","id":"indicator--3f2a1b4c-5d6e-4f70-8a9b-0c1d2e3f4a5b","created":"2024-05-01T10:00:00.000Z","modified":"2024-04-01T10:00:00.000Z",
		 "pattern":"[a:b = 1","pattern_type":"stix","valid_from":"2024-02-30T10:00:00Z","labels":[1],"external_references":[{"source_name":"cve"}]}]}`))
	want := []Error{
		{"/objects/0/modified", RuleOrder, "3.2", "modified must not be earlier than created"},
		{"/objects/0/labels/0", RuleType, "3.2", "not a string"},
		{"/objects/0/external_references/0/external_id", RuleFormat, "2.5", "the source cve needs an id such as CVE-2026-12345"},
		{"/objects/0/valid_from", RuleFormat, "2.16", "2024-02-30T10:00:00Z is a day or second that does not exist"},
		{"/objects/0/pattern", RulePattern, "9", "1:9: ] must stand here, not the pattern's end"},
	}
	if diff := cmp.Diff(want, errs); diff != "" {
		t.Error(diff)
	}
}

func TestOpenCTILevelToleratesThePlatform(t *testing.T) {
	for name, raw := range map[string]string{
		"severity of a case": `{"type":"case-incident","spec_version":"2.1","id":"case-incident--0bdfffc2-d6e5-5347-b3d4-7511e49cb982","created":"2024-05-01T10:00:00.000Z","modified":"2024-05-01T10:00:00.000Z","name":"c","severity":"high"}`,
		"city":               `{"type":"location","spec_version":"2.1","id":"location--0bdfffc2-d6e5-5347-b3d4-7511e49cb982","created":"2024-05-01T10:00:00.000Z","modified":"2024-05-01T10:00:00.000Z","name":"Paris"}`,
		"TLP:CLEAR":          `{"type":"marking-definition","spec_version":"2.1","id":"marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9","created":"2024-05-01T10:00:00.000Z","definition_type":"tlp","name":"TLP:CLEAR","definition":{"tlp":"clear"}}`,
		"hostname endpoint":  `{"type":"network-traffic","spec_version":"2.1","id":"network-traffic--0bdfffc2-d6e5-5347-b3d4-7511e49cb982","protocols":["tcp"],"dst_ref":"hostname--0bdfffc2-d6e5-5347-b3d4-7511e49cb982"}`,
	} {
		if errs := (Validator{OpenCTI: true}).Raw([]byte(raw)); errs != nil {
			t.Errorf("%s: %v", name, errs)
		}
		if errs := Raw([]byte(raw)); len(errs) == 0 {
			t.Errorf("%s: the specification forbids it", name)
		}
	}
}

func TestHostileInputIsBounded(t *testing.T) {
	for name, raw := range map[string]string{
		"deep":      strings.Repeat(`{"a":`, 100000),
		"many":      `{"type":"bundle","id":"x","objects":[` + strings.TrimSuffix(strings.Repeat("1,", 100000), ",") + `]}`,
		"numbers":   `{"type":"location","latitude":1e999999999,"longitude":` + strings.Repeat("9", 100000) + `}`,
		"not UTF-8": "{\"type\":\"\xff\"}",
		"nothing":   "",
	} {
		errs := Raw([]byte(raw))
		if len(errs) == 0 || len(errs) > 100 {
			t.Errorf("%s: %d errors", name, len(errs))
		}
	}
}

func TestURLs(t *testing.T) {
	for s, ok := range map[string]bool{
		"http://example.com": true, "https://u:p@example.com:8443/a/b?c=d&e#f": true, "http://[2001:db8::1]/": true, "urn:x:y": true, "mailto:a@b.example": true,
		"http://a b/": false, "http://x.example/a b": false, "http://x.example/é": false, "http://example[.]com/": false, "example.com": false, "/a": false, "": false,
		"http://x.example/%zz": false, "http://x.example/[1]": false, "http:": true,
	} {
		if isURI(s) != ok {
			t.Errorf("%q: want %v", s, ok)
		}
	}
}
