package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/bridgetest"
)

type request struct {
	http.Header
	body string
}

// catch returns a sink with the given further configuration and what it posts.
func catch(t *testing.T, more string) (bridge.Sink, <-chan request) {
	t.Helper()
	got := make(chan request, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- request{r.Header, string(b)}
	}))
	t.Cleanup(srv.Close)
	return build(t, fmt.Sprintf(`{"url":%q%s}`, srv.URL+"/hook?key=s3cret", more)), got
}

func build(t *testing.T, section string) bridge.Sink {
	t.Helper()
	s, err := Plugin.Build(json.RawMessage(section))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.(*sink).Close() })
	return s
}

func TestOneEventIsAnObject(t *testing.T) {
	s, got := catch(t, `,"secret":"k3y","headers":{"Authorization":"Bearer t0ken"}`)
	e := bridgetest.Sample()[0]
	if err := s.Deliver(t.Context(), []bridge.Event{e}); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if diff := cmp.Diff(string(e.Line(nil)), r.body); diff != "" {
		t.Error(diff)
	}
	m := hmac.New(sha256.New, []byte("k3y"))
	m.Write([]byte(r.body))
	for k, want := range map[string]string{
		"Content-Type": "application/json", "Stixbridge-Seq": fmt.Sprint(e.Seq), "Idempotency-Key": e.ID, "Authorization": "Bearer t0ken",
		"Stixbridge-Signature": "sha256=" + hex.EncodeToString(m.Sum(nil)), "User-Agent": "stixbridge/dev",
	} {
		if r.Get(k) != want {
			t.Errorf("%s: %q, want %q", k, r.Get(k), want)
		}
	}
}

func TestABatchIsAnArray(t *testing.T) {
	s, got := catch(t, `,"batch":10`)
	events := bridgetest.Sample()[:3]
	keys := map[string]bool{}
	for _, batch := range [][]bridge.Event{events, events[:1], events, events[:2]} {
		if err := s.Deliver(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		r := <-got
		var list []json.RawMessage
		if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list) != len(batch) {
			t.Fatalf("%d of %d events, %v", len(list), len(batch), err)
		}
		if string(list[0]) != string(batch[0].Line(nil)) {
			t.Errorf("got %s", list[0])
		}
		if r.Get("Stixbridge-Seq") != fmt.Sprint(batch[len(batch)-1].Seq) || r.Get("Stixbridge-Signature") != "" {
			t.Errorf("got %v", r.Header)
		}
		keys[r.Get("Idempotency-Key")] = true
	}
	if len(keys) != 3 {
		t.Errorf("%d keys of three different batches, one sent twice", len(keys))
	}
}

func TestExpand(t *testing.T) {
	rel := bridgetest.Must(`{"type":"relationship","id":"relationship--1","created_by_ref":"identity--1","relationship_type":"indicates","source_ref":"indicator--1","target_ref":"malware--1"}`)
	house := bridgetest.Objects{
		"identity--1":  bridgetest.Must(`{"type":"identity","id":"identity--1","name":"ACME \"CERT\""}`),
		"indicator--1": bridgetest.Must(`{"type":"ipv4-addr","id":"ipv4-addr--1","value":"203.0.113.1"}`),
	}
	all := `{"identity--1":{"type":"identity","name":"ACME \"CERT\""},"indicator--1":{"type":"ipv4-addr","name":"203.0.113.1"}}`
	for expand, want := range map[string]string{
		`true`: all, `["created_by_ref","source_ref","target_ref","none"]`: all, `["created_by_ref"]`: `{"identity--1":{"type":"identity","name":"ACME \"CERT\""}}`,
		`["target_ref"]`: ``, `false`: ``, `[]`: ``,
	} {
		s, got := catch(t, `,"expand":`+expand)
		if err := s.Deliver(t.Context(), []bridge.Event{bridgetest.NewEvent(1, bridge.Create, rel).Lend(house)}); err != nil {
			t.Fatal(err)
		}
		var body struct {
			Object json.RawMessage
			Refs   json.RawMessage
		}
		r := <-got
		if err := json.Unmarshal([]byte(r.body), &body); err != nil {
			t.Fatalf("%s: %v", r.body, err)
		}
		if string(body.Refs) != want || string(body.Object) != string(rel.Raw()) {
			t.Errorf("expand %s: refs %s, want %s", expand, body.Refs, want)
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("followed") }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL+"/?token=s3cret", http.StatusTemporaryRedirect))
	defer srv.Close()
	err := build(t, fmt.Sprintf(`{"url":%q}`, srv.URL)).Deliver(t.Context(), bridgetest.Sample()[:1])
	if err == nil || bridge.IsPermanent(err) || !strings.Contains(err.Error(), other.URL) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	conns := map[string]bool{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conns[r.RemoteAddr] = true
		fmt.Fprint(w, strings.Repeat("a long answer ", 1000))
	}))
	defer srv.Close()
	s := build(t, fmt.Sprintf(`{"url":%q}`, srv.URL))
	for _, e := range bridgetest.Sample()[:8] {
		if err := s.Deliver(t.Context(), []bridge.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	if len(conns) != 1 {
		t.Errorf("%d connections", len(conns))
	}
}

func TestProbe(t *testing.T) {
	status := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			t.Error("the probe posted")
		}
		w.WriteHeader(status)
	}))
	defer srv.Close()
	s := build(t, fmt.Sprintf(`{"url":%q}`, srv.URL)).(bridge.Prober)
	for _, tt := range []struct {
		status int
		right  func(error) bool
	}{
		{200, func(err error) bool { return err == nil }},
		{404, func(err error) bool { return err == nil }},
		{405, func(err error) bool { return err == nil }},
		{401, bridge.IsPaused},
		{500, func(err error) bool { return err != nil && !bridge.IsPaused(err) }},
	} {
		status = tt.status
		if err := s.Probe(t.Context()); !tt.right(err) {
			t.Errorf("%d: got %v", tt.status, err)
		}
	}
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	for section, want := range map[string]string{
		`{}`:                                     "url",
		`{"url":"soc.example/hook"}`:             "no http or https URL",
		`{"url":"http://u:pa55@[x/"}`:            "url",
		`{"url":"https://x","expand":7}`:         "expand: want true",
		`{"url":"https://x","tls":{"cert":"a"}}`: "tls",
	} {
		_, err := Plugin.Build(json.RawMessage(section))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pa55") {
			t.Errorf("%s: got %v, want %q", section, err, want)
		}
	}
	_, err := Plugin.Build(json.RawMessage(`{}`))
	key := ""
	bridge.EachKey(err, func(k string, _ error) { key = k })
	if key != "url" || errors.Unwrap(err) == nil {
		t.Errorf("key %q", key)
	}
}
