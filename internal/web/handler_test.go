package web

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stixbridge/stixbridge/bridge"
)

var both = bridge.HTTPTokens{Viewer: "viewer-token", Operator: "operator-token"}

// ask sends one request; header lines are "Name: value".
func ask(h http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const local = "http://127.0.0.1:8321"

func TestReading(t *testing.T) {
	tests := []struct {
		name   string
		tokens bridge.HTTPTokens
		url    string
		header []string
		want   int
	}{
		{"on loopback without tokens everybody here may read", bridge.HTTPTokens{}, local + "/api/v1/status", nil, 200},
		{"localhost is this machine", bridge.HTTPTokens{}, "http://localhost:8321/api/v1/status", nil, 200},
		{"so is its IPv6 address", bridge.HTTPTokens{}, "http://[::1]:8321/api/v1/status", nil, 200},
		{"a tunnel may have another port", bridge.HTTPTokens{}, "http://localhost:9000/", nil, 200},
		{"another name for this machine is refused", bridge.HTTPTokens{}, "http://rebound.example.org:8321/api/v1/status", nil, 421},
		{"also on the page", bridge.HTTPTokens{}, "http://rebound.example.org:8321/", nil, 421},
		{"also for metrics", bridge.HTTPTokens{}, "http://rebound.example.org:8321/metrics", nil, 421},
		{"also for health", bridge.HTTPTokens{}, "http://rebound.example.org:8321/healthz", nil, 421},
		{"a name that only looks like localhost is refused", bridge.HTTPTokens{}, "http://localhost.example.org:8321/", nil, 421},
		{"a name beginning with 127 is refused", bridge.HTTPTokens{}, "http://127.0.0.1.example.org/", nil, 421},
		{"a configured name is allowed", bridge.HTTPTokens{}, "http://Bridge.internal/", nil, 200},
		{"with tokens nothing is open", both, "http://cti.example.org/api/v1/status", nil, 401},
		{"nor the page", both, "http://cti.example.org/", nil, 401},
		{"nor metrics", both, "http://cti.example.org/metrics", nil, 401},
		{"nor a page that does not exist", both, "http://cti.example.org/none", nil, 401},
		{"the viewer may read", both, "http://cti.example.org/api/v1/status", []string{"Authorization: Bearer viewer-token"}, 200},
		{"the scheme has no case", both, "http://cti.example.org/", []string{"Authorization: bearer viewer-token"}, 200},
		{"the operator may read", both, "http://cti.example.org/metrics", []string{"Authorization: Bearer operator-token"}, 200},
		{"a wrong token may not", both, "http://cti.example.org/", []string{"Authorization: Bearer viewer-toke"}, 401},
		{"an empty token may not", bridge.HTTPTokens{Operator: "x"}, "http://cti.example.org/", []string{"Authorization: Bearer "}, 401},
		{"an unset token is not the empty one", bridge.HTTPTokens{Operator: "x"}, "http://cti.example.org/", []string{"Authorization: Bearer"}, 401},
		{"another scheme may not", both, "http://cti.example.org/", []string{"Authorization: Basic viewer-token"}, 401},
		{"a made-up cookie may not", both, "http://cti.example.org/", []string{"Cookie: stixbridge=operator.99999999999.00"}, 401},
		{"a script of another site may not, tokens or not", both, "http://cti.example.org/api/v1/watch", []string{"Authorization: Bearer viewer-token", "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"}, 403},
		{"an unknown page is said to be so", bridge.HTTPTokens{}, local + "/none", nil, 404},
		{"an unknown consumer too", bridge.HTTPTokens{}, local + "/consumers/none", nil, 404},
		{"an unknown producer too", bridge.HTTPTokens{}, local + "/producers/none", nil, 404},
		{"assets need no token", both, "http://cti.example.org/assets/style.css", nil, 200},
		{"templates are no assets", both, "http://cti.example.org/assets/document.html", nil, 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newTest(t, &fake{status: calm(noon)}, tt.tokens)
			h.opt.Hosts = []string{"bridge.internal"}
			if got := ask(h, "GET", tt.url, tt.header...).StatusCode; got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
		})
	}
}

func TestWithoutTokensAHandlerBeyondLoopbackShowsNothing(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:8321", ":8321", "10.0.0.7:8321", ""} {
		h := New(Options{Source: &fake{}, Listen: listen})
		if got := ask(h, "GET", local+"/api/v1/status").StatusCode; got != http.StatusForbidden {
			t.Errorf("listen %q: status %d, want 403", listen, got)
		}
	}
}

func TestOrders(t *testing.T) {
	const action, sent = "/api/v1/consumers/soc/pause", "Stixbridge-Action: 1"
	tests := []struct {
		name   string
		tokens bridge.HTTPTokens
		url    string
		header []string
		want   int
	}{
		{"on loopback the header is enough", bridge.HTTPTokens{}, local + action, []string{sent}, 200},
		{"without it nothing happens", bridge.HTTPTokens{}, local + action, nil, 403},
		{"a form of another site cannot set it", bridge.HTTPTokens{}, local + action, []string{"Origin: https://evil.example.org", "Sec-Fetch-Site: cross-site", "Content-Type: application/x-www-form-urlencoded"}, 403},
		{"a script of another site is refused even with it", bridge.HTTPTokens{}, local + action, []string{sent, "Origin: https://evil.example.org", "Sec-Fetch-Site: cross-site"}, 403},
		{"so is one of another port on this machine", bridge.HTTPTokens{}, local + action, []string{sent, "Origin: http://127.0.0.1:3000"}, 403},
		{"so is one that points its name here", bridge.HTTPTokens{}, "http://rebound.example.org:8321" + action, []string{sent, "Origin: http://rebound.example.org:8321", "Sec-Fetch-Site: same-origin"}, 421},
		{"an operator's token is enough", both, "http://cti.example.org" + action, []string{"Authorization: Bearer operator-token"}, 200},
		{"a viewer's is not", both, "http://cti.example.org" + action, []string{"Authorization: Bearer viewer-token", sent}, 403},
		{"with tokens the header is not", both, "http://cti.example.org" + action, []string{sent}, 401},
		{"nobody is operator where only a viewer is configured", bridge.HTTPTokens{Viewer: "v"}, "http://cti.example.org" + action, []string{"Authorization: Bearer v", sent}, 403},
		{"an unknown consumer is said to be so", bridge.HTTPTokens{}, local + "/api/v1/consumers/none/pause", []string{sent}, 404},
		{"an unknown action too", bridge.HTTPTokens{}, local + "/api/v1/consumers/soc/destroy", []string{sent}, 404},
		{"what the bridge cannot do is its error", bridge.HTTPTokens{}, local + "/api/v1/consumers/stubborn/resume", []string{sent}, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{status: calm(noon)}
			f.status.Consumers = append(f.status.Consumers, bridge.ConsumerStatus{Name: "stubborn", Kind: "stubborn"})
			h := newTest(t, f, tt.tokens)
			r := ask(h, "POST", tt.url, tt.header...)
			if r.StatusCode != tt.want {
				t.Errorf("status %d, want %d: %s", r.StatusCode, tt.want, body(t, r))
			}
			if done := len(f.orders) == 1; done != (tt.want == 200) {
				t.Errorf("orders carried out: %v", f.orders)
			}
		})
	}
	t.Run("a GET gives no order", func(t *testing.T) {
		f := &fake{status: calm(noon)}
		if r := ask(newTest(t, f, bridge.HTTPTokens{}), "GET", local+action, sent); r.StatusCode == 200 || len(f.orders) > 0 {
			t.Errorf("status %d, orders %v", r.StatusCode, f.orders)
		}
	})
	t.Run("the next look shows what was done", func(t *testing.T) {
		f := &fake{status: calm(noon)}
		h := newTest(t, f, bridge.HTTPTokens{})
		ask(h, "GET", local+"/api/v1/status")
		ask(h, "POST", local+action, sent)
		if got := body(t, ask(h, "GET", local+"/consumers/soc")); !strings.Contains(got, "Paused by an operator") {
			t.Error("the page still shows the time before the order")
		}
	})
}

// post sends a login form.
func post(h http.Handler, base, path string, form url.Values, cookies ...*http.Cookie) *http.Response {
	r := httptest.NewRequest("POST", base+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestLogin(t *testing.T) {
	const base = "http://cti.example.org:8321"
	f := &fake{status: calm(noon)}
	h := newTest(t, f, both)
	r := post(h, base, "/login", url.Values{"token": {"viewer-token"}, "next": {"/consumers/soc"}})
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/consumers/soc" || len(r.Cookies()) != 1 {
		t.Fatalf("status %d, location %q, cookies %v", r.StatusCode, r.Header.Get("Location"), r.Cookies())
	}
	c := r.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Name != "stixbridge-8321" || strings.Contains(c.Value, "token") {
		t.Errorf("cookie %+v", c)
	}
	get := func(value string) int {
		return ask(h, "GET", base+"/", "Cookie: "+c.Name+"="+value).StatusCode
	}
	if got := get(c.Value); got != 200 {
		t.Errorf("with the cookie: status %d", got)
	}
	if got := get(strings.Replace(c.Value, "viewer", "operator", 1)); got != 401 {
		t.Errorf("a viewer's cookie made an operator's: status %d", got)
	}
	if r := ask(h, "POST", base+"/api/v1/consumers/soc/pause", "Cookie: "+c.Name+"="+c.Value, "Stixbridge-Action: 1"); r.StatusCode != 403 {
		t.Errorf("a viewer's order: status %d", r.StatusCode)
	}
	op := post(h, base, "/login", url.Values{"token": {" operator-token\n"}}).Cookies()[0]
	if r := ask(h, "POST", base+"/api/v1/consumers/soc/pause", "Cookie: "+op.Name+"="+op.Value); r.StatusCode != 403 {
		t.Errorf("an operator's order without header: status %d", r.StatusCode)
	}
	if r := ask(h, "POST", base+"/api/v1/consumers/soc/pause", "Cookie: "+op.Name+"="+op.Value, "Stixbridge-Action: 1"); r.StatusCode != 200 {
		t.Errorf("an operator's order: status %d", r.StatusCode)
	}
	if got := ask(newTest(t, f, bridge.HTTPTokens{Viewer: "changed", Operator: "operator-token"}), "GET", base+"/", "Cookie: "+c.Name+"="+c.Value).StatusCode; got != 401 {
		t.Errorf("after the token was changed: status %d", got)
	}
	h.now = func() time.Time { return noon.Add(sessionLife) }
	if got := get(c.Value); got != 401 {
		t.Errorf("after its end: status %d", got)
	}
	if r := post(h, base, "/login", url.Values{"token": {"guess"}}); r.StatusCode != 401 || len(r.Cookies()) != 0 {
		t.Errorf("a wrong token: status %d, cookies %v", r.StatusCode, r.Cookies())
	}
	out := post(h, base, "/logout", nil, c)
	if len(out.Cookies()) != 1 || out.Cookies()[0].MaxAge >= 0 {
		t.Errorf("logout leaves %v", out.Cookies())
	}
}

func TestLoginLeadsNowhereElse(t *testing.T) {
	h := newTest(t, &fake{}, both)
	for _, next := range []string{"https://evil.example.org/", "//evil.example.org", `/\evil.example.org`, "javascript:alert(1)", "", "/metrics"} {
		r := post(h, "https://cti.example.org", "/login", url.Values{"token": {"viewer-token"}, "next": {next}})
		if got := r.Header.Get("Location"); got != "/" {
			t.Errorf("next %q leads to %q", next, got)
		}
		if c := r.Cookies()[0]; !c.Secure || c.Name != "stixbridge" {
			t.Errorf("over TLS the cookie is %+v", c)
		}
	}
}

func TestHealth(t *testing.T) {
	why := []string{"soc: refused by the target since 11:43"}
	tests := []struct {
		name, path string
		source     *fake
		tokens     bridge.HTTPTokens
		header     []string
		code       int
		want       string
	}{
		{"well", "/healthz", &fake{}, bridge.HTTPTokens{}, nil, 200, `{"status":"ok"}`},
		{"degraded says why", "/healthz", &fake{degraded: why}, bridge.HTTPTokens{}, nil, 503, `{"status":"degraded","reasons":["soc: refused by the target since 11:43"]}`},
		{"to a stranger it does not", "/healthz", &fake{degraded: why}, both, nil, 503, `{"status":"degraded"}`},
		{"to a viewer it does", "/healthz", &fake{degraded: why}, both, []string{"Authorization: Bearer viewer-token"}, 503, `{"status":"degraded","reasons":["soc: refused by the target since 11:43"]}`},
		{"a probe needs no token", "/healthz", &fake{}, both, nil, 200, `{"status":"ok"}`},
		{"ready", "/readyz", &fake{degraded: why}, both, nil, 200, `{"status":"ready"}`},
		{"not ready", "/readyz", &fake{ready: errors.New("event log: no answer")}, bridge.HTTPTokens{}, nil, 503, `{"status":"not ready","reasons":["event log: no answer"]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := ask(newTest(t, tt.source, tt.tokens), "GET", local+tt.path, tt.header...)
			if got := strings.TrimSpace(body(t, r)); r.StatusCode != tt.code || got != tt.want {
				t.Errorf("%d %s, want %d %s", r.StatusCode, got, tt.code, tt.want)
			}
			if got := r.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
		})
	}
}

func TestStatusIsWhatTheSourceSays(t *testing.T) {
	want := troubled(noon)
	r := ask(newTest(t, &fake{status: want}, bridge.HTTPTokens{}), "GET", local+"/api/v1/status")
	var got bridge.Status
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	for i := range want.Producers { // numbers in Extra come back as float64
		want.Producers[i].Extra, got.Producers[i].Extra = nil, nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAStatusThatCannotBeReadIsSaid(t *testing.T) {
	f := &fake{status: calm(noon), err: errors.New("event log: no answer")}
	h := newTest(t, f, bridge.HTTPTokens{})
	if r := ask(h, "GET", local+"/"); r.StatusCode != 503 || !strings.Contains(body(t, r), "event log: no answer") {
		t.Errorf("first look: status %d", r.StatusCode)
	}
	f.set(func(f *fake) { f.err = nil })
	ask(h, "GET", local+"/")
	f.set(func(f *fake) { f.err = errors.New("event log: gone") })
	h.now = func() time.Time { return noon.Add(time.Minute) }
	r := ask(h, "GET", local+"/")
	got := body(t, r)
	if r.StatusCode != 200 || !strings.Contains(got, "event log: gone") || !strings.Contains(got, "12:00:00 UTC") || !strings.Contains(got, "1,204,880") {
		t.Errorf("with old numbers: status %d, %s", r.StatusCode, got)
	}
	if r := ask(h, "GET", local+"/api/v1/status"); r.StatusCode != 503 {
		t.Errorf("a program gets old numbers: status %d", r.StatusCode)
	}
}

func TestMetricsAreTheGatherers(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "stixbridge_test_total", Help: "For the test."})
	reg.MustRegister(c)
	c.Add(3)
	h := New(Options{Source: &fake{}, Listen: "127.0.0.1:8321", Metrics: reg})
	if got := body(t, ask(h, "GET", local+"/metrics")); !strings.Contains(got, "stixbridge_test_total 3") {
		t.Error(got)
	}
	if got := ask(New(Options{Source: &fake{}, Listen: "127.0.0.1:8321"}), "GET", local+"/metrics").StatusCode; got != 404 {
		t.Errorf("without a gatherer: status %d", got)
	}
}

func TestEveryAnswerForbidsWhatThePageDoesNotNeed(t *testing.T) {
	h := newTest(t, &fake{status: troubled(noon)}, bridge.HTTPTokens{})
	for _, path := range []string{"/", "/consumers/soc", "/login", "/api/v1/status", "/none", "/healthz"} {
		r := ask(h, "GET", local+path)
		if csp := r.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers %v", path, r.Header)
		}
		page := body(t, r)
		for _, inline := range []string{"<style", " style=", " onclick", "<script>", "http://fonts", "https://cdn"} {
			if strings.Contains(page, inline) {
				t.Errorf("%s contains %s", path, inline)
			}
		}
	}
	if got := ask(h, "GET", local+assetURL("style.css")).Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("a versioned asset is cached as %q", got)
	}
}

func TestWhatOthersSayIsTextAndNeverMarkup(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	s := troubled(noon)
	for i := range s.Consumers {
		s.Consumers[i].Error, s.Consumers[i].Held, s.Consumers[i].Extra = evil, map[string]uint64{evil: 1}, map[string]any{evil: evil}
	}
	for i := range s.Producers {
		s.Producers[i].Error, s.Producers[i].Types, s.Producers[i].Cursor = evil, map[string]uint64{evil: 1}, json.RawMessage(evil)
	}
	s.Problems, s.Orphans, s.Instance = []string{evil}, []string{evil}, evil
	h := newTest(t, &fake{status: s}, bridge.HTTPTokens{})
	for _, path := range []string{"/", "/consumers/soc", "/producers/octi", "/consumers/" + url.PathEscape(evil)} {
		got := body(t, ask(h, "GET", local+path))
		if strings.Contains(got, "<script>") || strings.Contains(got, "<img") {
			t.Errorf("%s lets markup through", path)
		}
		if !strings.Contains(got, "&lt;script&gt;") {
			t.Errorf("%s hides the text", path)
		}
	}
}
