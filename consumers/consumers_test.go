package consumers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/consumers/file"
	"github.com/stixbridge/stixbridge/consumers/warninglist"
	"github.com/stixbridge/stixbridge/consumers/webhook"
	"github.com/stixbridge/stixbridge/stix"
)

// sinks and enrichers have one entry for each kind in the lists.
var (
	sinks = map[string]func() bridgetest.SinkCase{
		"file":    fileCase,
		"webhook": webhookCase,
	}
	enrichers = map[string]func() bridgetest.EnricherCase{
		"warninglist": warninglistCase,
	}
)

// elsewhere names the test files of kinds that run the suite in their own package, because their target takes more than an HTTP handler.
var elsewhere = map[string]string{"opencti": "opencti/suite_test.go"}

func TestEveryKindPassesItsSuite(t *testing.T) {
	seen := map[string]bool{}
	known := func(t *testing.T, kind, summary, example string, has bool) {
		if seen[kind] {
			t.Errorf("kind %s is listed twice", kind)
		}
		seen[kind] = true
		if summary == "" || example == "" {
			t.Errorf("kind %s is without a summary or an example", kind)
		}
		if !has {
			t.Fatalf("kind %s has no case: add one, so that the suite runs over it", kind)
		}
	}
	for _, p := range Sinks() {
		t.Run(p.Kind, func(t *testing.T) {
			if file, ok := elsewhere[p.Kind]; ok {
				known(t, p.Kind, p.Summary, p.Example, true)
				if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "bridgetest.Sink(t") {
					t.Errorf("%s does not run the suite: %v", file, err)
				}
				return
			}
			c := sinks[p.Kind]
			known(t, p.Kind, p.Summary, p.Example, c != nil)
			bridgetest.Sink(t, c())
		})
	}
	for _, p := range Enrichers() {
		t.Run(p.Kind, func(t *testing.T) {
			c := enrichers[p.Kind]
			known(t, p.Kind, p.Summary, p.Example, c != nil)
			bridgetest.Enricher(t, c())
		})
	}
}

// fileTarget is a file that a sink appends to.
type fileTarget struct {
	t    testing.TB
	path string
}

func (f *fileTarget) Section() string                  { return fmt.Sprintf(`{"path":%q}`, f.path) }
func (f *fileTarget) Fault(bridgetest.Fault, int) bool { return false }
func (f *fileTarget) Refuse(string) bool               { return false }

func (f *fileTarget) Received() (got []bridgetest.Receipt) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		f.t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		r, err := bridgetest.ReadLine(line)
		if err != nil {
			f.t.Error(err)
		}
		got = append(got, r)
	}
	return got
}

func fileCase() bridgetest.SinkCase {
	return bridgetest.SinkCase{
		Plugin: file.Plugin,
		Target: func(t testing.TB) bridgetest.Target {
			return &fileTarget{t, filepath.Join(t.(*testing.T).TempDir(), "events.jsonl")}
		},
		Exclusive: true,
	}
}

func webhookCase() bridgetest.SinkCase {
	return bridgetest.SinkCase{
		Plugin:  webhook.Plugin,
		Secrets: []string{"s3cret", "t0ken", "k3y"},
		Target: func(t testing.TB) bridgetest.Target {
			return bridgetest.NewHTTPTarget(t, func(url string) string {
				return fmt.Sprintf(`{"url":%q,"secret":"k3y","headers":{"Authorization":"Bearer t0ken"},"expand":true}`, url+"/hook?key=s3cret")
			}, readPost)
		},
	}
}

// readPost takes apart an object or an array.
func readPost(r *http.Request, body []byte) (got []bridgetest.Receipt, err error) {
	if r.Header.Get("Idempotency-Key") == "" || r.Header.Get("Stixbridge-Signature") == "" {
		return nil, errors.New("without key or signature")
	}
	list := []json.RawMessage{body}
	if bytes.HasPrefix(body, []byte("[")) {
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, err
		}
	}
	for _, b := range list {
		g, err := bridgetest.ReadLine(b)
		if err != nil {
			return nil, err
		}
		got = append(got, g)
	}
	return got, nil
}

func warninglistCase() bridgetest.EnricherCase {
	parse := func(raw ...string) (objs []stix.Object) {
		for _, r := range raw {
			objs = append(objs, bridgetest.Must(r))
		}
		return objs
	}
	return bridgetest.EnricherCase{
		Plugin:  warninglist.Plugin,
		Section: func(testing.TB) string { return `{"lists":["warninglist/testdata/lists"]}` },
		Hits: parse(
			`{"type":"ipv4-addr","id":"ipv4-addr--00000000-0000-4000-8000-000000000001","value":"10.0.0.1"}`,
			`{"type":"file","id":"file--00000000-0000-4000-8000-000000000001","hashes":{"MD5":"d41d8cd98f00b204e9800998ecf8427e","SHA-1":"da39a3ee5e6b4b0d3255bfef95601890afd80709"}}`,
			`{"type":"indicator","id":"indicator--00000000-0000-4000-8000-000000000001","labels":["apt"],"pattern_type":"stix","pattern":"[url:value = 'https://bit.ly/x']"}`,
		),
		Misses: parse(
			`{"type":"ipv4-addr","id":"ipv4-addr--00000000-0000-4000-8000-000000000002","value":"203.0.113.1"}`,
			`{"type":"malware","id":"malware--00000000-0000-4000-8000-000000000001","name":"10.0.0.1"}`,
			`{"type":"ipv4-addr","id":"ipv4-addr--00000000-0000-4000-8000-000000000003","value":"10.0.0.1","labels":["warninglist:rfc1918"]}`,
		),
	}
}
