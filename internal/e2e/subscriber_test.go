package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stixbridge/stixbridge/internal/subscriber"
	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// printed returns the blocks of a language on the page for subscribers, as they stand there.
func printed(t testing.TB, language string) (blocks []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testpeer.Root(t), "docs", "subscribe.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(b), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("docs/subscribe.md has no block of %s", language)
	}
	return blocks
}

// receiver is a client of the page that runs.
type receiver struct {
	t   testing.TB
	out string
}

// says waits until the client printed a line that begins so.
func (r receiver) says(begin string) {
	r.t.Helper()
	await(r.t, patience, func() error {
		for line := range strings.Lines(read1(r.t, r.out)) {
			if strings.HasPrefix(line, begin) {
				return nil
			}
		}
		return fmt.Errorf("the client did not print %q but %q", begin, tail(r.out))
	})
}

// launch starts a client in the site's directory.
func (s *site) launch(name string, args ...string) receiver {
	s.t.Helper()
	out, err := os.Create(s.path(name + ".out"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = s.dir, mortal(), out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return receiver{s.t, out.Name()}
}

// guestObject is a malware object with a marking and a text.
func guestObject(n int, mark, text string) string {
	return thing("malware", n, fmt.Sprintf(`"name":%q,"is_family":false,%s`, text, mark))
}

// The clients on the page, run as they are printed, receive what is within the ceiling, are told to drop what rises above it, and see
// nothing of the new version. The bridge runs all the time; the subscribers come and go.
func TestClientsOnThePageReceiveEventsAndTheRetractOfWhatRisesAboveTheirCeiling(t *testing.T) {
	python := testpeer.Python(t, "nats-py")
	cli := testpeer.NATSCLI(t)
	s := newSite(t, strings.Replace(oneFeed, "name: feed", "name: feed, every: 1s", 1))
	source := []string{guestObject(0, markRed, "CANARY from the beginning")}
	s.write("feed.json", bundle(source...))
	p := s.start()
	p.settled()

	client := s.path("client")
	goFile := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(goFile, []byte(printed(t, "go")[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", client, goFile)
	build.Dir = testpeer.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the Go client on the page: %v\n%s", err, out)
	}
	s.write("client.py", printed(t, "python")[0])

	for i, run := range []struct {
		name string
		args []string
	}{{"go", []string{client}}, {"python", []string{python, s.path("client.py")}}} {
		n := i + 1
		s.must(0, "subscriber", "add", "acme", "--max-tlp", "green", "--type", "malware")
		source = append(source, guestObject(n, markGreen, "shared"))
		s.write("feed.json", bundle(source...))
		c := s.launch(run.name, run.args...)
		id := thingID("malware", n)
		c.says("keep " + id)
		source[n] = guestObject(n, markRed, "CANARY of the red version")
		s.write("feed.json", bundle(source...))
		c.says("drop " + id)
		if text := read1(t, c.out); strings.Contains(text, "CANARY") {
			t.Errorf("the client in %s saw red: %s", run.name, text)
		}
		// It is caught up: everything it may see is acknowledged.
		await(t, patience, func() error {
			for _, g := range s.guests() {
				if g.Lag == 0 && g.Position >= 3 && g.MaxTLP.String() == "green" && !g.LastActive.IsZero() {
					return nil
				}
			}
			return fmt.Errorf("subscriber list says %+v", s.guests())
		})
		s.must(0, "subscriber", "remove", "acme")
		if err := os.Remove(s.path("acme.json")); err != nil {
			t.Fatal(err)
		}
	}

	s.must(0, "subscriber", "add", "acme")
	var lines []string
	for _, block := range printed(t, "sh") {
		for line := range strings.Lines(block) {
			if strings.HasPrefix(line, "nats --context") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	if len(lines) != 2 {
		t.Fatalf("lines of nats on the page: %q", lines)
	}
	for _, line := range lines {
		out, wait := s.shell(cli, "sh -c '"+line+"'")
		_ = wait() // fewer events than it asks for end it with an error
		text := read1(t, out)
		if strings.Contains(line, "next") && (!strings.Contains(text, "Stix-Id: "+thingID("malware", 1)) || !strings.Contains(text, "subj: stix.v1.feed.green.retract.malware.")) ||
			strings.Contains(line, "info") && !strings.Contains(text, "Filter Subjects: stix.v1.*.clear.*.*.*, stix.v1.*.green.*.*.*") {
			t.Errorf("%s prints\n%s", line, text)
		}
		if strings.Contains(text, "CANARY") {
			t.Errorf("%s shows red:\n%s", line, text)
		}
	}
	if !strings.Contains(s.must(0, "tap").out, "CANARY") {
		t.Error("the log holds no red version: the test looks in the wrong place")
	}
	p.stop()
}

// guests is what subscriber list says.
func (s *site) guests() (all []subscriber.State) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.must(0, "subscriber", "list", "--json").out), &all); err != nil {
		s.t.Fatal(err)
	}
	return all
}

// The function on the page fetches an object over 4 MiB as it came in.
func TestTheFunctionOnThePageFetchesALargeObject(t *testing.T) {
	python := testpeer.Python(t, "nats-py")
	s := newSite(t, oneFeed)
	large := guestObject(1, markGreen, strings.Repeat("large ", 1<<20))
	s.write("feed.json", bundle(large, guestObject(2, markRed, "CANARY "+strings.Repeat("large ", 1<<20))))
	p := s.start()
	p.settled()
	s.must(0, "subscriber", "add", "acme")
	var function string
	for _, b := range printed(t, "python") {
		if strings.Contains(b, "async def whole") {
			function = b
		}
	}
	s.write("whole.py", "import asyncio, hashlib, json, sys, nats\n"+function+`
async def main():
    login = json.load(open("acme.json"))
    nc = await nats.connect(login["url"], user=login["user"], password=login["password"])
    events = await nc.jetstream(prefix="stixbridge").pull_subscribe_bind("acme", stream="STIX")
    m = (await events.fetch(1, timeout=30))[0]
    assert len(m.data) < 100000, len(m.data)
    open("whole.json", "wb").write(await whole(nc, m.headers["Stix-Blob"]))
    await nc.close()
asyncio.run(main())
`)
	cmd := exec.Command(python, "whole.py")
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, err := os.ReadFile(s.path("whole.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !equal(t, got, []byte(large)) {
		t.Errorf("%d bytes of %x, want %d bytes", len(got), sha256.Sum256(got), len(large))
	}
	p.stop()
}

// Credentials come and go on a running bridge, outlast it, and stand nowhere but in their file.
func TestSubscribersAreManagedWhileTheBridgeRunsAndOutlastIt(t *testing.T) {
	s := newSite(t, oneFeed)
	s.write("feed.json", bundle(guestObject(1, markGreen, "shared"), guestObject(2, markRed, "CANARY")))
	s.must(0, "subscriber", "add", "early", "--json") // before there is a log
	p := s.start()
	p.settled()
	for _, wrong := range []struct {
		code int
		args []string
	}{
		{2, []string{"add", "early"}}, {1, []string{"add", "early", "--credentials", "other.json"}}, {2, []string{"add", "A"}}, {2, []string{"add", "x", "--max-tlp", "blue"}}, {2, []string{"add", "x", "--start", "soon"}},
		{2, []string{"add", "feed"}}, {2, []string{"add", "x", "--type", "a.b"}}, {2, []string{"add"}}, {2, []string{"remove", "nobody"}}, {2, []string{"rotate", "nobody"}}, {2, []string{"config"}}, {2, []string{"sell"}},
	} {
		if r := s.must(wrong.code, append([]string{"subscriber"}, wrong.args...)...); r.err == "" {
			t.Errorf("%q says nothing", wrong.args)
		}
	}
	for _, c := range []string{"add", "list", "remove", "rotate", "config"} {
		if !strings.Contains(s.must(0, "subscriber", c, "--help").out, "Example: stixbridge subscriber "+c) {
			t.Errorf("subscriber %s --help shows no example", c)
		}
	}
	if _, err := os.Stat(s.path("other.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused subscriber left a file: %v", err)
	}
	login := func(file string) (c subscriber.Credentials) {
		t.Helper()
		info, err := os.Stat(s.path(file))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%s: %v %v", file, info, err)
		}
		if err := json.Unmarshal([]byte(read1(t, s.path(file))), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	fetch := func(url string, c subscriber.Credentials, name string) (ids []string, err error) {
		nc, err := nats.Connect(url, nats.UserInfo(c.User, c.Password), nats.NoReconnect())
		if err != nil {
			return nil, err
		}
		defer nc.Close()
		js, err := jetstream.NewWithAPIPrefix(nc, c.APIPrefix)
		if err != nil {
			return nil, err
		}
		k, err := js.Consumer(context.Background(), "STIX", name)
		if err != nil {
			return nil, err
		}
		b, err := k.FetchNoWait(10)
		if err != nil {
			return nil, err
		}
		for m := range b.Messages() {
			ids = append(ids, m.Headers().Get("Stix-Id"))
			if err := m.DoubleAck(context.Background()); err != nil {
				return ids, err
			}
		}
		return ids, b.Error()
	}
	s.must(0, "subscriber", "add", "late", "--max-tlp", "TLP:GREEN", "--url", "nats://bridge.example.org:4222,nats://b.example.org", "--credentials", "handed.json")
	late := login("handed.json")
	if late.URL != "nats://bridge.example.org:4222,nats://b.example.org" {
		t.Errorf("url %s", late.URL)
	}
	url := s.url()
	for name, c := range map[string]subscriber.Credentials{"early": login("early.json"), "late": late} {
		if ids, err := fetch(url, c, name); err != nil || len(ids) != 1 || ids[0] != thingID("malware", 1) {
			t.Errorf("%s received %q, %v", name, ids, err)
		}
	}
	s.must(0, "subscriber", "rotate", "late", "--credentials", "handed.json")
	if _, err := fetch(url, late, "late"); err == nil {
		t.Error("the old password is still good")
	}
	if ids, err := fetch(url, login("handed.json"), "late"); err != nil || len(ids) != 0 {
		t.Errorf("after the rotation received %q, %v; the position must stay", ids, err)
	}
	s.must(0, "subscriber", "remove", "early")
	if _, err := fetch(url, login("early.json"), "early"); err == nil {
		t.Error("who is removed still gets in")
	}
	p.stop()
	s.must(0, "subscriber", "list") // without a bridge
	p = s.start()
	p.settled()
	if _, err := fetch(s.url(), login("handed.json"), "late"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if _, err := fetch(s.url(), login("early.json"), "early"); err == nil {
		t.Error("who was removed gets in after a restart")
	}
	p.stop()
	secrets := []string{late.Password, login("handed.json").Password, login("early.json").Password}
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(path) == "handed.json" || filepath.Base(path) == "early.json" {
			return err
		}
		b, err := os.ReadFile(path)
		for _, secret := range secrets {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds a password", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// url is where the running bridge's server listens.
func (s *site) url() string {
	s.t.Helper()
	var c struct{ URL string }
	if err := json.Unmarshal([]byte(read1(s.t, filepath.Join(s.data, "nats", "context", "stixbridge.json"))), &c); err != nil {
		s.t.Fatal(err)
	}
	return c.URL
}

// Real events, as lines and as messages, are valid by the published schema.
func TestRealEventsAreValidByThePublishedSchema(t *testing.T) {
	t.Parallel() // it waits most of the time
	file := filepath.Join(testpeer.Root(t), "docs", "schema", "event.schema.json")
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	compiled := map[string]*jsonschema.Schema{}
	for _, at := range []string{"", "#/$defs/message", "#/$defs/headers"} {
		var err error
		if compiled[at], err = c.Compile(file + at); err != nil {
			t.Fatal(err)
		}
	}
	validate := func(at string, text []byte) {
		t.Helper()
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled[at].Validate(v); err != nil {
			t.Errorf("%.500s: %v", text, err)
		}
	}
	s := newSite(t, strings.NewReplacer("name: feed", "name: feed, snapshot: true, max_delete: 100%").Replace(oneFeed))
	valid := `"pattern":"[domain-name:value = 'a.example']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"`
	end := time.Now().Add(15 * time.Second).UTC().Format(time.RFC3339Nano)
	for _, objects := range [][]string{
		{guestObject(1, markGreen, "one"), guestObject(2, markGreen, "two"), thing("indicator", 1, valid+`,"valid_until":"`+end+`"`), `{"type":"x-odd","id":"x-odd--1","odd":{"n":1.50}}`},
		{guestObject(1, markRed, "one"), guestObject(3, markGreen, strings.Repeat("large ", 1<<20)), thing("indicator", 1, valid+`,"valid_until":"`+end+`"`)},
	} {
		s.write("feed.json", bundle(objects...))
		s.must(0, "run", "--once")
	}
	p := s.start()
	kinds := map[string]bool{}
	await(t, patience, func() error { // until the indicator has expired
		for _, l := range s.tap() {
			kinds[l.Op] = true
		}
		if !kinds["expire"] {
			return errors.New("nothing has expired")
		}
		return nil
	})
	for _, op := range []string{"create", "update", "delete", "retract", "expire"} {
		if !kinds[op] {
			t.Errorf("no %s among the events: the test looks in the wrong place", op)
		}
	}
	for _, lines := range []string{s.must(0, "tap").out, read1(t, s.path("out.jsonl"))} {
		for line := range strings.Lines(lines) {
			validate("", []byte(line))
		}
	}
	s.must(0, "subscriber", "add", "acme", "--max-tlp", "red")
	var cred subscriber.Credentials
	if err := json.Unmarshal([]byte(read1(t, s.path("acme.json"))), &cred); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(cred.URL, nats.UserInfo(cred.User, cred.Password))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.NewWithAPIPrefix(nc, cred.APIPrefix)
	if err != nil {
		t.Fatal(err)
	}
	k, err := js.Consumer(t.Context(), "STIX", "acme")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := k.FetchNoWait(100)
	if err != nil {
		t.Fatal(err)
	}
	n, blobs := 0, 0
	for m := range batch.Messages() {
		n++
		h := map[string]string{}
		for k := range m.Headers() {
			h[k] = m.Headers().Get(k)
		}
		if h["Stix-Blob"] != "" {
			blobs++
		}
		message := map[string]any{"subject": m.Subject(), "headers": h, "body": json.RawMessage(m.Data())}
		if text := h["Stix-Context"]; text != "" {
			message["context"] = json.RawMessage(text)
		}
		b, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		validate("#/$defs/message", b)
	}
	if n < 8 || blobs != 1 {
		t.Errorf("%d messages, %d with a large object", n, blobs)
	}
	p.stop()
}
