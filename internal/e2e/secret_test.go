package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Secrets of the configuration are planted everywhere and looked for everywhere: logs at level debug, status, dead letters, the status page, errors of
// check, and the data directory but for the credentials that are the bridge's own.
func TestSecretsShowNowhere(t *testing.T) {
	bad := 3
	g := newTarget(t, func(call int, events []line, r *http.Request) verdict {
		switch {
		case len(events) > 0 && events[0].ID == thingID("malware", 4):
			return verdict{status: 422, body: "refused"}
		case call <= bad:
			return verdict{status: 401, body: "not you: " + r.Header.Get("Authorization")} // a target that repeats what it was told
		case call <= bad+2:
			return verdict{reset: true}
		}
		return verdict{}
	})
	var objects []string
	for i := range 10 {
		objects = append(objects, thing("malware", i, `"name":"m","is_family":false`))
	}
	feed := bundle(objects...)
	served := 0
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served++; served == 1 {
			http.Error(w, "try later", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, feed)
	}))
	defer source.Close()
	with := func(url, user string) string { return strings.Replace(url, "http://", "http://"+user+"@", 1) }
	s := newSite(t, "")
	whole := fmt.Sprintf(`nats: { dir: DIR/data, listen: '127.0.0.1:0' }
http: { listen: '127.0.0.1:0', tokens: { viewer: CANARY-viewer-token, operator: CANARY-operator-token } }
log: { level: debug }
opencti: { url: 'http://127.0.0.1:1', token: CANARY-platform-token }
producers:
  - { kind: stix, name: feed, url: '%s/feed.json?token=CANARY-query', headers: { Authorization: 'Bearer CANARY-source-header' }, every: 1s }
consumers:
  - { kind: webhook, name: soc, url: '%s/hook?key=CANARY-hook-query', secret: CANARY-hmac-key, headers: { Authorization: 'Bearer CANARY-target-header' }, producers: ['*'], max_tlp: red }
`, with(source.URL, "me:CANARY-source-password"), with(g.URL, "me:CANARY-hook-password"))
	s.configureAll(whole)
	p := s.start()
	seen := map[string]string{}
	await(t, patience, func() error {
		r := s.run("status", "--json")
		seen["status while it fails"] += r.out + r.err
		st, err := s.status()
		if err != nil {
			return err
		}
		if k := consumer(st, "soc"); k.Lag > 0 || k.Dead != 1 {
			return fmt.Errorf("%s, lag %d, %d dead letters, %s", k.Health, k.Lag, k.Dead, k.Error)
		}
		return nil
	})
	if !strings.Contains(g.heard(), "Bearer CANARY-target-header") || !strings.Contains(g.heard(), "Stixbridge-Signature: sha256=") {
		t.Error("the target was not told what it must be told: the test would find nothing")
	}
	for _, args := range [][]string{{"status"}, {"dlq", "list"}, {"dlq", "show", "soc"}, {"tap"}, {"check"}, {"check", "--online"}, {"get", thingID("malware", 1)}} {
		r := s.run(args...)
		seen[strings.Join(args, " ")] = r.out + r.err
	}
	if !strings.Contains(seen["dlq show soc"], "422") {
		t.Errorf("dlq show: %s", seen["dlq show soc"])
	}
	found := regexp.MustCompile(`status page +(http://127\.0\.0\.1:\d+/)`).FindStringSubmatch(read1(t, p.out))
	if found == nil {
		t.Fatalf("no address of the status page in what run prints: %s", read1(t, p.out))
	}
	page := found[1]
	for _, path := range []string{"", "metrics", "healthz", "readyz", "api/v1/status"} {
		req, _ := http.NewRequest(http.MethodGet, page+path, nil)
		req.Header.Set("Authorization", "Bearer CANARY-viewer-token")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode >= 500 && path != "healthz" {
			t.Errorf("/%s: %s, %v", path, resp.Status, err)
		}
		seen["GET /"+path] = string(b)
	}
	p.stop()
	seen["run's log"], seen["run's output"] = read1(t, p.log), read1(t, p.out)
	s.configureAll(strings.Replace(whole, "kind: webhook", "kind: webhok", 1) + "  - { kind: webhook, name: soc, url: 'gopher://me:CANARY-bad-url@x/', secrt: CANARY-misspelt }\n")
	r := s.must(2, "check")
	seen["check of a wrong configuration"] = r.out + r.err
	for where, text := range seen {
		if text == "" && where != "check" && where != "GET /readyz" {
			t.Errorf("%s is empty", where)
		}
		if at := strings.Index(text, "CANARY"); at >= 0 {
			t.Errorf("%s shows a secret: …%s…", where, text[max(0, at-150):min(len(text), at+60)])
		}
	}
	for _, file := range holding(t, s.data, "CANARY") {
		t.Errorf("%s holds a secret of the configuration", file)
	}
	for _, secret := range own(t, s.data) {
		for where, text := range seen {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows the event log's own credentials", where)
			}
		}
		for _, file := range holding(t, s.data, secret) {
			if name, _ := filepath.Rel(s.data, file); name != "credentials.json" && name != filepath.Join("nats", "context", "stixbridge.json") {
				t.Errorf("%s holds the event log's own credentials", name)
			}
		}
	}
}

// own are the passwords of the embedded server.
func own(t testing.TB, data string) (all []string) {
	t.Helper()
	path := filepath.Join(data, "credentials.json")
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v", path, st.Mode())
	}
	for _, m := range regexp.MustCompile(`"password": "([^"]+)"`).FindAllStringSubmatch(read1(t, path), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Error(errors.New("no credentials found: the test looks at the wrong place"))
	}
	return all
}

func read1(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
