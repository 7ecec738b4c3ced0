package warninglist

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/stix"
)

func build(t testing.TB, section string) *enricher {
	t.Helper()
	e, err := Plugin.Build(json.RawMessage(section))
	if err != nil {
		t.Fatal(err)
	}
	return e.(*enricher)
}

// labels are those that the answer has; nil when there is none.
func labels(t testing.TB, e *enricher, o stix.Object) []string {
	t.Helper()
	got, err := e.Enrich(t.Context(), bridgetest.NewEvent(1, bridge.Create, o))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 {
		return nil
	}
	if len(got) != 1 || got[0].ID() != o.ID() {
		t.Fatalf("answered with %v", got)
	}
	var l struct{ Labels []string }
	_ = got[0].Decode(&l)
	return l.Labels
}

func observable(typ, value string) stix.Object {
	q, _ := json.Marshal(value)
	return bridgetest.Must(fmt.Sprintf(`{"type":%q,"id":"%s--00000000-0000-4000-8000-000000000001","value":%s}`, typ, typ, q))
}

func indicator(pattern string) stix.Object {
	q, _ := json.Marshal(pattern)
	return bridgetest.Must(`{"type":"indicator","id":"indicator--00000000-0000-4000-8000-000000000001","pattern_type":"stix","pattern":` + string(q) + `}`)
}

const md5 = "D41D8CD98F00B204E9800998ECF8427E"

func TestWhatIsOnWhichList(t *testing.T) {
	e := build(t, `{"lists":["testdata/lists"]}`)
	tests := []struct {
		name string
		o    stix.Object
		want string // short names, joined
	}{
		{"an address in a private range", observable("ipv4-addr", "10.11.12.13"), "rfc1918"},
		{"the first address of a range", observable("ipv4-addr", "172.16.0.0"), "rfc1918"},
		{"the address behind a range", observable("ipv4-addr", "172.32.0.0"), ""},
		{"a range within the range", observable("ipv4-addr", "192.168.4.0/24"), "rfc1918"},
		{"a range around the range", observable("ipv4-addr", "192.0.0.0/8"), ""},
		{"a resolver, though its list is of ranges", observable("ipv4-addr", "8.8.8.8"), "public-dns-v4"},
		{"the neighbour of a resolver", observable("ipv4-addr", "8.8.8.9"), ""},
		{"no address", observable("ipv4-addr", "8.8.8"), ""},
		{"an address of the other family", observable("ipv6-addr", "::ffff:8.8.8.8"), "public-dns-v4"},
		{"a shortener", observable("domain-name", "bit.ly"), "url-shortener"},
		{"a name below a listed one", observable("hostname", "x.y.BIT.LY."), "url-shortener"},
		{"a name that only ends alike", observable("domain-name", "rabbit.ly"), ""},
		{"a URL on a listed host", observable("url", "https://user@bit.ly:443/abc?x=tinyurl.com"), "url-shortener"},
		{"a listed host in the path only", observable("url", "https://evil.example/bit.ly"), ""},
		{"a popular name", observable("domain-name", "1rx.io"), "cisco_top1000"},
		{"a URL on a popular name", observable("url", "http://1rx.io/x"), "cisco_top1000"},
		{"a name below a popular one", observable("domain-name", "a.1rx.io"), ""},
		{"a listed name in a property that no list is about", observable("email-addr", "bit.ly"), ""},
		{"the hash of an empty file", bridgetest.Must(`{"type":"file","id":"file--1","hashes":{"MD5":"` + md5 + `","SHA-256":"aa"}}`), "empty-hashes"},
		{"a file of that name", bridgetest.Must(`{"type":"file","id":"file--1","name":"` + md5 + `"}`), "empty-hashes"}, // filename|md5
		{"another object", bridgetest.Must(`{"type":"malware","id":"malware--1","name":"bit.ly"}`), ""},
		{"an indicator", indicator(`[ipv4-addr:value = '10.0.0.1']`), "rfc1918"},
		{"an indicator of several values", indicator(`[file:hashes.'MD5' = '` + md5 + `'] OR [domain-name:value='bit.ly' AND url:value = 'http://8.8.8.8/']`), "empty-hashes url-shortener"},
		{"a hash with quotes of the other kind", indicator(`[file:hashes."SHA-1" = 'da39a3ee5e6b4b0d3255bfef95601890afd80709']`), "empty-hashes"},
		{"an indicator of what it is not", indicator(`[ipv4-addr:value != '10.0.0.1' AND NOT ipv4-addr:value = '10.0.0.1' OR ipv4-addr:value NOT = '10.0.0.1']`), ""},
		{"a comparison within a text", indicator(`[process:command_line = 'x ipv4-addr:value = \'10.0.0.1\'']`), ""},
		{"a pattern of another language", bridgetest.Must(`{"type":"indicator","id":"indicator--1","pattern_type":"sigma","pattern":"[ipv4-addr:value = '10.0.0.1']"}`), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := labels(t, e, tt.o)
			for i := range got {
				got[i] = strings.TrimPrefix(got[i], "warninglist:")
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLabelsAreAddedAndNoneIsTaken(t *testing.T) {
	e := build(t, `{"lists":["testdata/lists"],"label":"fp:{list}"}`)
	o := bridgetest.Must(`{"type":"ipv4-addr","id":"ipv4-addr--1","x":1.50,"value":"10.0.0.1","labels":["apt","fp:other"]}`)
	got, err := e.Enrich(t.Context(), bridgetest.NewEvent(1, bridge.Update, o))
	if err != nil || len(got) != 1 {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	want := `{"type":"ipv4-addr","id":"ipv4-addr--1","x":1.50,"value":"10.0.0.1","labels":["apt","fp:other","fp:rfc1918"]}`
	if diff := cmp.Diff(want, string(got[0].Raw())); diff != "" {
		t.Error(diff)
	}
	if again := labels(t, e, got[0]); again != nil {
		t.Errorf("its own answer was answered: %v", again)
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSubstringsAndExpressions(t *testing.T) {
	sub := write(t, "sub.json", `{"name":"s","type":"substring","list":["Example.",""],"matching_attributes":["url"]}`)
	re := write(t, "re.json", `{"name":"r","type":"regex","list":["/^https?:\\/\\/cdn[0-9]+\\./i","#^a(?=b)#","~^ftp:~"]}`)
	e := build(t, fmt.Sprintf(`{"lists":[%q,%q]}`, sub, re))
	for value, want := range map[string][]string{
		"http://www.EXAMPLE.org/": {"warninglist:sub"},
		"HTTP://CDN7.example.org": {"warninglist:re", "warninglist:sub"},
		"ftp://x/":                {"warninglist:re"},
		"http://other/":           nil,
	} {
		if got := labels(t, e, observable("url", value)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", value, got, want)
		}
	}
	if got := labels(t, e, observable("domain-name", "example.org")); got != nil {
		t.Errorf("a list about URLs matched a name: %v", got)
	}
	if r := e.Report(); r["skipped_entries"] != 1 || r["lists"] != 2 {
		t.Errorf("got %v", r)
	}
}

func TestListsThatCannotBeUsedAreNamed(t *testing.T) {
	empty := t.TempDir()
	for _, tt := range []struct{ lists, want string }{
		{`[]`, "name files or directories"},
		{`["none/here.json"]`, "none/here.json"},
		{fmt.Sprintf("[%q]", empty), "holds no .json"},
		{fmt.Sprintf("[%q]", write(t, "a.json", "{}")), "it has no type or no list"},
		{fmt.Sprintf("[%q]", write(t, "a.json", "text")), "no warning list"},
		{fmt.Sprintf("[%q]", write(t, "a.json", `{"type":"fuzzy","list":["a"]}`)), `type "fuzzy" is none of`},
		{`["testdata/lists","testdata/lists/rfc1918.json"]`, "two lists are called rfc1918"},
	} {
		_, err := Plugin.Build(json.RawMessage(`{"lists":` + tt.lists + `}`))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "lists: ") {
			t.Errorf("%s: got %v, want %q", tt.lists, err, tt.want)
		}
	}
}

// The whole lists, where they are at hand: 90,000 entries load at once and answer quickly.
func BenchmarkEnrich(b *testing.B) {
	dir := os.Getenv("MISP_WARNINGLISTS")
	if dir == "" {
		dir = "testdata/lists"
	}
	e := build(b, fmt.Sprintf(`{"lists":[%q]}`, dir))
	ev := bridgetest.NewEvent(1, bridge.Create, indicator(`[url:value = 'http://198.51.100.7/some/long/path?with=query']`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Enrich(b.Context(), ev); err != nil {
			b.Fatal(err)
		}
	}
}
