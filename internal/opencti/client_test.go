package opencti

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
)

const connectorID = "a1b2c3d4-1111-4111-8111-000000000002"

func feed() Connector {
	return Connector{ID: connectorID, Name: "Acme Feed", Type: "EXTERNAL_IMPORT", Scope: []string{"indicator"}}
}

func platform(t *testing.T, version string) (*octitest.Platform, *Client) {
	p := octitest.New(t, octitest.Options{Version: version})
	return p, New(p.URL+"/", p.Token, nil)
}

func TestDoSaysWhatThePlatformSaid(t *testing.T) {
	tests := []struct {
		name    string
		answer  func(w http.ResponseWriter)
		want    Error
		refused bool
		text    string
	}{
		{"an error with status 200", func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"errors":[{"message":"You must be logged in to do this.","name":"AUTH_REQUIRED","extensions":{"code":"AUTH_REQUIRED","data":{"http_status":401,"genre":"TECHNICAL"}}}],"data":null}`))
		}, Error{Name: "AUTH_REQUIRED", Message: "You must be logged in to do this.", Status: 200}, true, "platform answered AUTH_REQUIRED: You must be logged in to do this."},
		{"a name in the extensions only, with a detail", func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"errors":[{"message":"bad","extensions":{"code":"FUNCTIONAL_ERROR","data":{"doc_code":"INCORRECT_INDICATOR_FORMAT","input":{"a":[1]}}}}]}`))
		}, Error{Name: "FUNCTIONAL_ERROR", Message: "bad", Status: 200, Reason: "INCORRECT_INDICATOR_FORMAT"}, false, "platform answered FUNCTIONAL_ERROR: bad (INCORRECT_INDICATOR_FORMAT)"},
		{"a message only", func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"errors":[{"message":"boom"}]}`)) }, Error{Name: "boom", Message: "boom", Status: 200}, false, "platform answered boom"},
		{"an error with status 400", func(w http.ResponseWriter) {
			w.WriteHeader(400)
			_, _ = w.Write([]byte(`{"errors":[{"message":"Cannot query field \"jwks\" on type \"Connector\".","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`))
		}, Error{Name: "GRAPHQL_VALIDATION_FAILED", Message: `Cannot query field "jwks" on type "Connector".`, Status: 400}, false, `platform answered GRAPHQL_VALIDATION_FAILED: Cannot query field "jwks" on type "Connector".`},
		{"a proxy's page", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Retry-After", "9")
			w.WriteHeader(502)
			_, _ = w.Write([]byte("<html>bad gateway"))
		}, Error{Status: 502, Message: "Bad Gateway: an HTML page, so what answered is a proxy or another program; check the url", RetryAfter: 9 * time.Second}, false, ""},
		{"401 from a proxy", func(w http.ResponseWriter) { w.WriteHeader(401) }, Error{Status: 401, Message: "Unauthorized"}, true, ""},
		{"200 that is no GraphQL", func(w http.ResponseWriter) { _, _ = w.Write([]byte("hello")) }, Error{Status: 200, Message: "the answer is not GraphQL: hello"}, false, ""},
		{"200 with nothing in it", func(w http.ResponseWriter) { _, _ = w.Write([]byte("{}")) }, Error{Status: 200, Message: "the answer holds neither data nor errors"}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tt.answer(w) }))
			defer s.Close()
			_, err := New(s.URL, "secret-token", nil).Version(t.Context())
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if d := cmp.Diff(tt.want, *e); d != "" {
				t.Error(d)
			}
			if Refused(err) != tt.refused {
				t.Errorf("refused: %v", Refused(err))
			}
			if tt.text != "" && err.Error() != tt.text {
				t.Errorf("text %q", err)
			}
		})
	}
}

func TestNoErrorShowsTheTokenThatThePeerSendsBack(t *testing.T) {
	for _, status := range []int{200, 401, 500} {
		for _, body := range []string{`{"errors":[{"message":"bad token %s","name":"X"}]}`, "you sent %s", "<html>%s", strings.Repeat("x", 190) + "%s" + strings.Repeat("y", 900)} {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write([]byte(strings.ReplaceAll(body, "%s", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))))
			}))
			_, err := New(s.URL, "secret-token", nil).Version(t.Context())
			s.Close()
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("status %d: %v", status, err)
			}
		}
	}
}

func TestAnUnreachablePlatformIsAnErrorWithoutSecrets(t *testing.T) {
	_, err := New("http://127.0.0.1:1/base/", "secret-token", nil).Version(t.Context())
	if err == nil || strings.Contains(err.Error(), "secret-token") || !strings.Contains(err.Error(), "http://127.0.0.1:1/base/graphql") {
		t.Errorf("got %v", err)
	}
}

func TestRegisterWorksOnEveryVersion(t *testing.T) {
	for _, version := range []string{"6.8.10", "6.9.0", "6.9.29", "7.260224.0", "7.260817.0", "7.261026.0"} {
		t.Run(version, func(t *testing.T) {
			p, c := platform(t, version)
			k := feed()
			k.Extra = map[string]any{"version": "1.0", "slug": "acme"}
			got, err := c.Register(t.Context(), k)
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != connectorID || got.UserID != p.User() || got.Config.Push != "push_"+connectorID || got.Config.PushRouting != "push_routing_"+connectorID || got.Config.PushExchange != "amqp.worker.exchange" || got.State != "" {
				t.Errorf("answer %+v", got)
			}
			if old := version != "7.261026.0"; old != (len(got.LeftOut) == 2) {
				t.Errorf("left out %v", got.LeftOut)
			}
			if got, _ := c.Version(t.Context()); got != version {
				t.Errorf("version %q", got)
			}
		})
	}
}

func TestRegisterSendsWhatOthersSend(t *testing.T) {
	p, c := platform(t, "6.8.10")
	if _, err := c.Register(t.Context(), feed()); err != nil {
		t.Fatal(err)
	}
	call := p.Calls("registerConnector")[0]
	want := map[string]any{"id": connectorID, "name": "Acme Feed", "type": "EXTERNAL_IMPORT", "scope": []any{"indicator"}, "auto": false, "auto_update": false,
		"enrichment_resolution": "none", "only_contextual": false, "playbook_compatible": false, "listen_callback_uri": nil}
	if d := cmp.Diff(want, call.Vars["input"]); d != "" {
		t.Error(d)
	}
	if h := call.Header; h.Get("Authorization") != "Bearer "+p.Token || h.Get("User-Agent") != Agent || h.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", h)
	}
}

func TestPingKeepsAndResetsTheState(t *testing.T) {
	p, c := platform(t, "")
	if _, err := c.Register(t.Context(), feed()); err != nil {
		t.Fatal(err)
	}
	var s State
	ping := func() bool {
		t.Helper()
		reset, err := c.Ping(t.Context(), connectorID, &s, Info{Threshold: 500e6, LastRun: time.Unix(0, 0)})
		if err != nil {
			t.Fatal(err)
		}
		return reset
	}
	stored := func() string { return *p.Connector(connectorID).State }

	if ping(); stored() != "null" {
		t.Errorf("without a state the platform got %q, want the word null", stored())
	}
	_ = s.Set(map[string]int{"seq": 1})
	if ping(); stored() != `{"seq":1}` {
		t.Errorf("the platform got %q", stored())
	}
	p.ResetState(connectorID)
	if !ping() || s.Get(&struct{}{}) {
		t.Error("a reset is taken at the first ping that tells of it")
	}
	if ping(); stored() != "null" {
		t.Errorf("after the reset the platform got %q back", stored())
	}
	want := map[string]any{"run_and_terminate": false, "buffering": false, "queue_threshold": 500.0, "queue_messages_size": 0.0, "next_run_datetime": nil, "last_run_datetime": "1970-01-01T00:00:00Z"}
	if d := cmp.Diff(want, p.Connector(connectorID).Info); d != "" {
		t.Error(d)
	}
}

func TestStateComparesAndSets(t *testing.T) {
	tests := []struct {
		name          string
		during        string // set while the ping was under way
		answer, want  string
		reset         bool
		mineBeforeAll string
	}{
		{"an echo changes nothing", "", `{"a": 1}`, `{"a":1}`, false, `{"a":1}`},
		{"another state is adopted", "", `{"a":2}`, `{"a":2}`, false, `{"a":1}`},
		{"but not over a newer one of ours", `{"a":3}`, `{"a":2}`, `{"a":3}`, false, `{"a":1}`},
		{"an echo leaves a newer one of ours", `{"a":3}`, `{"a":1}`, `{"a":3}`, false, `{"a":1}`},
		{"a reset is taken", "", ``, ``, true, `{"a":1}`},
		{"a reset is taken over a newer one of ours, because it is told once", `{"a":3}`, ``, ``, true, `{"a":1}`},
		{"no state and no answer is no reset", "", ``, ``, false, ``},
		{"no state and the word null is no reset", "", `null`, ``, false, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s State
			s.Adopt(tt.mineBeforeAll)
			sent, rev := s.read()
			if tt.during != "" {
				s.text, s.rev = tt.during, s.rev+1
			}
			reset := s.answered(sent, rev, tt.answer)
			if reset != tt.reset || s.text != tt.want {
				t.Errorf("state %q, reset %v", s.text, reset)
			}
		})
	}
}

func TestAPingOfAForgottenConnectorSaysSo(t *testing.T) {
	p, c := platform(t, "")
	_, _ = c.Register(t.Context(), feed())
	p.Forget(connectorID)
	_, err := c.Ping(t.Context(), connectorID, &State{}, Info{})
	if !Unregistered(err) {
		t.Errorf("ping: %v", err)
	}
	if _, err := c.Queue(t.Context(), connectorID); !Unregistered(err) {
		t.Errorf("queue: %v", err)
	}
}

func TestQueueReadsBytes(t *testing.T) {
	p, c := platform(t, "")
	_, _ = c.Register(t.Context(), feed())
	p.SetQueue(12, 3456)
	if q, err := c.Queue(t.Context(), connectorID); err != nil || q != (Queue{12, 3456}) {
		t.Errorf("%+v, %v", q, err)
	}
}

func TestWorksAreCountedAndTheirErrorsRead(t *testing.T) {
	for _, version := range []string{"6.8.10", "7.261026.0"} {
		t.Run(version, func(t *testing.T) {
			p, c := platform(t, version)
			ctx := t.Context()
			_, _ = c.Register(ctx, feed())
			id, err := c.AddWork(ctx, connectorID, "run", true)
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{c.Received(ctx, id, "begun"), c.Expect(ctx, id, 2), c.Report(ctx, id, "", ""),
				c.Report(ctx, id, "FUNCTIONAL_ERROR: no", `{"type":"indicator","id":"indicator--1"}`), c.Processed(ctx, id, "done", false)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			w, err := c.Work(ctx, id)
			if err != nil || w.Status != "complete" || w.Tracking != (Tracking{2, 2}) || len(w.Errors) != 1 || w.Errors[0].ObjectID() != "indicator--1" || w.Errors[0].Message != "FUNCTIONAL_ERROR: no" {
				t.Errorf("%+v, %v", w, err)
			}
			if r := p.Works()[0]; r.Multi != (version == "7.261026.0") || r.Received != "begun" || r.Message != "done" {
				t.Errorf("the platform has %+v", r)
			}
			n := len(p.Calls("workAdd"))
			if _, err := c.AddWork(ctx, connectorID, "run", true); err != nil || len(p.Calls("workAdd")) != n+1 {
				t.Errorf("the second work took %d calls: %v", len(p.Calls("workAdd"))-n, err)
			}
			if w, err := c.Work(ctx, "work_none"); w != nil || err != nil {
				t.Errorf("an unknown work: %+v, %v", w, err)
			}
		})
	}
}

func TestPushHandsOverABundle(t *testing.T) {
	p, c := platform(t, "")
	_, _ = c.Register(t.Context(), feed())
	if err := c.Push(t.Context(), connectorID, []byte(`{"type":"bundle","objects":[{"type":"identity","id":"identity--1","name":"A"}]}`), ""); err != nil {
		t.Fatal(err)
	}
	if p.Object("identity--1") == nil {
		t.Error("the object did not arrive")
	}
	if err := c.Push(t.Context(), connectorID, []byte(`{"type":"bundle","objects":[]}`), ""); !Named(err, "UNSUPPORTED_ERROR") {
		t.Errorf("an empty bundle: %v", err)
	}
}

func TestIDsAreStable(t *testing.T) {
	same := []string{"https://octi.example.org", "https://octi.example.org/", "HTTPS://OCTI.example.org:443//", "https://user:pw@octi.example.org/?x=1#y"}
	for _, u := range same {
		if got := PlatformID(u); got != PlatformID(same[0]) {
			t.Errorf("%s has another platform id: %s", u, NormalURL(u))
		}
	}
	for _, u := range []string{"http://octi.example.org", "https://octi.example.org:8443", "https://octi.example.org/cti"} {
		if PlatformID(u) == PlatformID(same[0]) {
			t.Errorf("%s has the same platform id", u)
		}
	}
	if got, want := PlatformID(same[0]), "3fe856ed-a2dc-504f-b73c-7044cf9c28f5"; got != want {
		t.Errorf("the id changed: %s", got)
	}
	if ConnectorID(same[0], "a") == ConnectorID(same[0], "b") || ConnectorID(same[0], "a") != ConnectorID(same[1], "a") {
		t.Error("connector ids")
	}
}

func TestMeKnowsItsRights(t *testing.T) {
	_, c := platform(t, "")
	me, err := c.Me(t.Context())
	if err != nil || !me.May("CONNECTORAPI") || me.May("TAXIIAPI") {
		t.Errorf("%+v, %v", me, err)
	}
}
