package producers

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/producers/stix"
)

// cases has one entry for each kind in All.
var cases = map[string]func() bridgetest.ProducerCase{
	"stix": stixCase,
}

// elsewhere names the test files of kinds that run the suite in their own package, because their source takes more than an HTTP handler.
var elsewhere = map[string]string{"opencti-live": "opencti/suite_test.go"}

func TestEveryKindPassesTheSuite(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range All() {
		if seen[p.Kind] {
			t.Errorf("kind %s is listed twice", p.Kind)
		}
		seen[p.Kind] = true
		t.Run(p.Kind, func(t *testing.T) {
			if p.Summary == "" || p.Example == "" {
				t.Error("without a summary or an example")
			}
			if file, ok := elsewhere[p.Kind]; ok {
				if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "bridgetest.Producer(t") {
					t.Errorf("%s does not run the suite: %v", file, err)
				}
				return
			}
			c := cases[p.Kind]
			if c == nil {
				t.Fatalf("kind %s has no case: add one to cases, so that the suite runs over it", p.Kind)
			}
			bridgetest.Producer(t, c())
		})
	}
}

// stixCase is a bundle of a size that takes several chunks and two commits, with two malformed elements and an id that occurs three times.
func stixCase() bridgetest.ProducerCase {
	const n = 6_500
	var b strings.Builder
	b.WriteString(`{"type":"bundle","id":"bundle--00000000-0000-4000-8000-000000000001","objects":[`)
	b.WriteString(`{"type":"indicator","name":"no id"},17,`)
	for i := range n {
		fmt.Fprintf(&b, `{"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--%08x-0000-4000-8000-000000000000","value":"10.%d.%d.%d"},`, i, i>>16, i>>8&255, i&255)
	}
	for _, day := range []string{"02", "09", "05"} {
		fmt.Fprintf(&b, `{"type":"malware","spec_version":"2.1","id":"malware--00000000-0000-4000-8000-000000000000","modified":"2026-11-%sT00:00:00Z","name":"of the %s"},`, day, day)
	}
	b.WriteString(`{"type":"identity","spec_version":"2.1","id":"identity--00000000-0000-4000-8000-000000000000","name":"last"}]}`)
	return bridgetest.ProducerCase{
		Plugin: stix.Plugin,
		Source: func(testing.TB) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, b.String()) })
		},
		Section: func(url string) string {
			return fmt.Sprintf(`{"url":%q,"snapshot":true,"headers":{"Authorization":"Bearer t0ken"}}`, url+"/bundle.json?key=s3cret")
		},
		Objects:     n + 2,
		Conditional: true,
		Closed:      true,
		Secrets:     []string{"s3cret", "t0ken"},
	}
}
