package validate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

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
	const indicator = `{"type":"indicator","spec_version":"2.1","id":"indicator--3f2a1b4c-5d6e-4f70-8a9b-0c1d2e3f4a5b","created":"2024-05-01T10:00:00.000Z","modified":"2024-05-01T10:00:00.000Z","valid_from":"2024-05-01T10:00:00Z","pattern_type":"stix","pattern":`
	repeat := strings.Repeat
	many := func(n int, f func(int) string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(f(i))
		}
		return b.String()
	}
	for name, raw := range map[string]string{
		"deep":                   repeat(`{"a":`, 100000),
		"deep and complete":      `{"type":"x-y","a":` + repeat(`[`, 100000) + repeat(`]`, 100000) + `}`,
		"as deep as allowed":     `{"type":"x-y","spec_version":"2.1","abc":` + repeat(`[`, 198) + repeat(`]`, 198) + `}`,
		"many members":           `{"type":"bundle","id":"x","objects":[` + many(100000, func(int) string { return "1" }) + `]}`,
		"many properties":        `{"type":"x-y",` + many(100000, func(i int) string { return fmt.Sprintf(`"P%d":null`, i) }) + `}`,
		"many duplicates":        `{` + many(100000, func(int) string { return `"type":1` }) + `}`,
		"many labels":            `{"type":"tool","labels":[` + many(100000, func(int) string { return `1` }) + `]}`,
		"many selectors":         `{"type":"tool","granular_markings":[{"selectors":[` + many(100000, func(int) string { return `"zzz.[1].a"` }) + `]}]}`,
		"a long selector":        `{"type":"tool","granular_markings":[{"selectors":["abc` + repeat(".a", 500000) + `"]}]}`,
		"large numbers":          `{"type":"location","latitude":1e999999999,"longitude":` + repeat("9", 100000) + `}`,
		"a small number":         `{"type":"location","id":1e-999999999,"latitude":0.` + repeat("0", 100000) + `1e5,"longitude":-0.0}`,
		"a large integer":        `{"type":"sighting","count":1` + repeat("0", 300) + `}`,
		"a long fraction":        `{"type":"sighting","count":1.` + repeat("0", 1000000) + `1}`,
		"a long type":            `{"type":"` + repeat("a", 1000000) + `"}`,
		"a long id":              `{"type":"tool","id":"tool--` + repeat("a", 1000000) + `"}`,
		"a long time":            `{"type":"tool","created":"2024-05-01T10:00:00.` + repeat("1", 1000000) + `"}`,
		"a long URL":             `{"type":"url","value":"http://` + repeat("%", 1000000) + `"}`,
		"a long CPE":             `{"type":"software","cpe":"cpe:2.3:a:` + repeat("?", 1000000) + `"}`,
		"a long MIME type":       `{"type":"file","mime_type":"application/` + repeat("a", 1000000) + ` "}`,
		"a deep pattern":         indicator + `"` + repeat("(", 100000) + `"}`,
		"a deep comparison":      indicator + `"[` + repeat("(", 100000) + `"}`,
		"a long pattern":         indicator + `"` + repeat("[a:b = 1] OR ", 100000) + `"}`,
		"many qualifiers":        indicator + `"[abc:def = 1]` + repeat(" WITHIN 1 SECONDS", 100000) + `"}`,
		"a long number in it":    indicator + `"[abc:def = ` + repeat("9", 1000000) + `"}`,
		"a long name above many": `{"type":"x-y","spec_version":"2.1","extensions":{"` + repeat("a", 1000000) + `-ext":{` + many(20000, func(i int) string { return fmt.Sprintf(`"abc%d":[]`, i) }) + `}}}`,
		"a long key above many":  `{"type":"observed-data","objects":{"` + repeat("a", 1000000) + `":{"type":"file",` + many(20000, func(i int) string { return fmt.Sprintf(`"abc%d":null`, i) }) + `}}}`,
		"not UTF-8":              "{\"type\":\"\xff\"}",
		"nothing":                "",
		"null":                   "null",
		"a lone surrogate":       `{"type":"\ud800"}`,
	} {
		start := time.Now()
		errs := Raw([]byte(raw))
		if len(errs) == 0 || len(errs) > 100 {
			t.Errorf("%s: %d errors", name, len(errs))
		}
		for _, e := range errs {
			if e.Rule == "" || e.Section == "" || e.Message == "" || len(e.Message) > 1000 || len(e.Pointer) > 10_000 || e.Pointer != "" && e.Pointer[0] != '/' {
				t.Errorf("%s: incomplete or long: %.200q %.200q", name, e.Pointer, e.Message)
			}
		}
		if spent := time.Since(start); spent > 20*time.Second {
			t.Errorf("%s took %s", name, spent)
		}
	}
	if errs := (Validator{Max: 3}).Raw([]byte(`{"type":"tool","labels":[1,2,3,4,5]}`)); len(errs) != 3 {
		t.Errorf("got %d errors, want 3", len(errs))
	}
}

// TestEveryErrorOfTheVectorsIsComplete is about what people get to see.
func TestEveryErrorOfTheVectorsIsComplete(t *testing.T) {
	sections := regexp.MustCompile(`^\d+(\.\d+)*$`)
	rules := map[string]bool{}
	for _, v := range vectors(t) {
		var value any
		if err := json.Unmarshal(v.Object, &value); err != nil {
			t.Fatal(err)
		}
		for _, e := range Raw(v.Object) {
			rules[e.Rule] = true
			if !sections.MatchString(e.Section) || e.Message == "" || e.Message != strings.TrimSpace(e.Message) {
				t.Errorf("%s: %+v", v.Why, e)
			}
			// The pointer leads somewhere, or to what is missing in something.
			parent := value
			steps := strings.Split(e.Pointer, "/")[1:]
			if e.Pointer == "" {
				continue
			}
			for _, step := range steps[:len(steps)-1] {
				step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
				switch p := parent.(type) {
				case map[string]any:
					parent = p[step]
				case []any:
					n, err := strconv.Atoi(step)
					if err != nil || n >= len(p) {
						t.Fatalf("%s: %q leads nowhere", v.Why, e.Pointer)
					}
					parent = p[n]
				}
			}
			if parent == nil {
				t.Errorf("%s: %q leads nowhere", v.Why, e.Pointer)
			}
		}
	}
	for _, rule := range []string{RuleRequired, RuleType, RuleFormat, RuleRange, RuleEnum, RuleEmpty, RuleName, RuleReserved, RuleReference, RuleOneOf, RuleOrder, RuleSelector, RulePattern, RuleID} {
		if !rules[rule] {
			t.Errorf("no vector breaks the rule %s", rule)
		}
	}
}

func TestTimesThatDoNotExist(t *testing.T) {
	for text, ok := range map[string]bool{
		"2024-02-29T23:59:59.999Z": true, "2024-05-01T10:00:00.123456789Z": true, "0001-01-01T00:00:00.000Z": true, "9999-12-31T23:59:59.000Z": true,
		"2023-02-29T10:00:00.000Z": false, "2024-04-31T10:00:00.000Z": false, "0000-01-01T00:00:00.000Z": false, "2024-05-01T24:00:00.000Z": false, "2024-05-01T10:00:60.000Z": false,
		"2024-05-01T10:00:00Z": false, "2024-05-01T10:00:00.00Z": false, "2024-05-01T10:00:00.000+00:00": false, "2024-05-01t10:00:00.000z": false, "2024-05-01 10:00:00.000Z": false, "2024-05-01T10:00:00.Z": false,
	} {
		raw := fmt.Sprintf(`{"type":"tool","spec_version":"2.1","id":"tool--3f2a1b4c-5d6e-4f70-8a9b-0c1d2e3f4a5b","created":%q,"modified":%q,"name":"x"}`, text, text)
		if errs := Raw([]byte(raw)); (len(errs) == 0) != ok {
			t.Errorf("%s: %v", text, errs)
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
