package stix

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/internal/httpx"
)

const marking = `{"type":"marking-definition","spec_version":"2.1","id":"marking-definition--00000000-0000-4000-8000-000000000001","created":"2026-01-01T00:00:00.000Z","definition_type":"tlp","definition":{"tlp":"red"}}`

func malware(n int, modified, name string) string {
	return fmt.Sprintf(`{"type":"malware","spec_version":"2.1","id":"malware--%08x-0000-4000-8000-000000000000","modified":%q,"name":%q}`, n, modified, name)
}

func several(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = malware(i, "2026-11-01T00:00:00.000Z", fmt.Sprint("name ", i))
	}
	return list
}

func bundle(objects ...string) string {
	return `{"type":"bundle","id":"bundle--00000000-0000-4000-8000-000000000001","objects":[` + strings.Join(objects, ",\n") + `]}`
}

// source is a file that tests rewrite, with the recorder that its producer runs against.
type source struct {
	t    *testing.T
	path string
	more string // further configuration, `,"key":value`
	*bridgetest.Recorder
}

func newSource(t *testing.T, more string) *source {
	return &source{t, filepath.Join(t.TempDir(), "in.json"), more, bridgetest.NewRecorder()}
}

func (s *source) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *source) run() error {
	s.t.Helper()
	return produce(s.t.Context(), s.t, s.Recorder, fmt.Sprintf(`{"path":%q%s}`, s.path, s.more), "")
}

func (s *source) mustRun() {
	s.t.Helper()
	if err := s.run(); err != nil {
		s.t.Fatal(err)
	}
}

func produce(ctx context.Context, t *testing.T, r *bridgetest.Recorder, section, dir string) error {
	t.Helper()
	p, err := Plugin.Build(json.RawMessage(section))
	if err != nil {
		t.Fatal(err)
	}
	client := httpx.New(httpx.Options{Trusted: httpx.URLs([]byte(section)), Retry: -1})
	defer client.CloseIdleConnections()
	run := bridge.NewRun("attack", r, client, nil)
	run.Dir = dir
	return p.Produce(ctx, run)
}

func (s *source) ops(want map[bridge.Op]int) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.Ops()); diff != "" {
		s.t.Error(diff)
	}
}

func (s *source) cursor() (c cursor) {
	_ = json.Unmarshal(s.LastCursor(), &c)
	return c
}

func TestFormsAndCompressions(t *testing.T) {
	objs := append([]string{marking}, several(3)...)
	var gz, zst bytes.Buffer
	z := gzip.NewWriter(&gz)
	_, _ = z.Write([]byte(bundle(objs...)))
	_ = z.Close()
	zw, _ := zstd.NewWriter(&zst)
	_, _ = zw.Write([]byte(bundle(objs...)))
	_ = zw.Close()
	tests := []struct{ name, text, format string }{
		{"a bundle", bundle(objs...), "bundle"},
		{"an envelope", `{"more":false,"objects":[` + strings.Join(objs, ",") + `]}`, "envelope"},
		{"an array", "[" + strings.Join(objs, ",") + "]", "array"},
		{"lines", strings.Join(objs, "\n") + "\n", "lines"},
		{"gzip", gz.String(), "bundle"},
		{"zstd", zst.String(), "bundle"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSource(t, fmt.Sprintf(`,"format":%q`, tt.format))
			s.write(tt.text)
			s.mustRun()
			s.ops(map[bridge.Op]int{bridge.Create: 4})
			if len(s.Learned()) != 1 {
				t.Errorf("%d marking-definitions learned, want 1", len(s.Learned()))
			}
			s.mustRun()
			s.ops(map[bridge.Op]int{bridge.Create: 4})
		})
	}
}

func TestAnotherFormThanTheConfiguredOneIsAnError(t *testing.T) {
	s := newSource(t, `,"format":"envelope"`)
	s.write(bundle(several(2)...))
	if err := s.run(); err == nil || !strings.Contains(err.Error(), "form bundle, not envelope") {
		t.Errorf("got %v", err)
	}
	s.ops(map[bridge.Op]int{})
}

func TestEventsSayWhereTheyStood(t *testing.T) {
	s := newSource(t, "")
	s.write(`{"type":"bundle","objects":[` + strings.Join(several(2), ",") + `],"id":"bundle--00000000-0000-4000-8000-000000000009"}`)
	s.mustRun()
	s.write(bundle(append(several(2), malware(9, "2026-11-02T00:00:00.000Z", "new"))...))
	s.mustRun()
	var got []bridge.Context
	for _, e := range s.Events() {
		got = append(got, e.Change.Context)
	}
	want := []bridge.Context{
		{Bundle: "bundle--00000000-0000-4000-8000-000000000009", Backfill: true},
		{Bundle: "bundle--00000000-0000-4000-8000-000000000009", Position: 1, Backfill: true},
		{Bundle: "bundle--00000000-0000-4000-8000-000000000001", Position: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOneChangedObjectIsOneUpdateAlsoWithTheSameModified(t *testing.T) {
	s := newSource(t, "")
	objs := several(10)
	s.write(bundle(objs...))
	s.mustRun()
	objs[4] = malware(4, "2026-11-01T00:00:00.000Z", "name X") // same length, same modified
	info, _ := os.Stat(s.path)
	s.write(bundle(objs...))
	_ = os.Chtimes(s.path, info.ModTime(), info.ModTime()) // and the file's own times
	s.mustRun()
	s.ops(map[bridge.Op]int{bridge.Create: 10, bridge.Update: 1})
}

func TestOneIDTwice(t *testing.T) {
	tests := []struct {
		name string
		objs []string
		want string
	}{
		{"the newest modified counts", []string{malware(1, "2026-11-01T00:00:00Z", "a"), malware(1, "2026-11-03T00:00:00Z", "b"), malware(1, "2026-11-02T00:00:00.999Z", "c")}, "b"},
		{"of equals the last", []string{malware(1, "2026-11-01T00:00:00Z", "a"), malware(1, "2026-11-01T00:00:00.000Z", "b")}, "b"},
		{"by time and not by text", []string{malware(1, "2026-11-01T01:00:00+02:00", "a"), malware(1, "2026-11-01T00:30:00Z", "b"), malware(1, "2026-11-01T02:00:00+02:00", "c")}, "b"},
		{"one without modified is the oldest", []string{malware(1, "2026-11-01T00:00:00Z", "a"), malware(1, "unknown", "b")}, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSource(t, `,"snapshot":true`)
			s.write(bundle(append(tt.objs, several(1)...)...))
			s.mustRun()
			s.ops(map[bridge.Op]int{bridge.Create: 2})
			for _, o := range s.Objects() {
				var m struct{ Name string }
				_ = o.Decode(&m)
				if strings.HasPrefix(o.ID(), "malware--00000001") && m.Name != tt.want {
					t.Errorf("%q counts, want %q", m.Name, tt.want)
				}
			}
			s.write(bundle(append(tt.objs, several(1)...)...) + " ") // another version of the file
			s.mustRun()
			s.ops(map[bridge.Op]int{bridge.Create: 2})
		})
	}
}

func TestAMalformedElementIsSetAsideAndTheRestArrives(t *testing.T) {
	s := newSource(t, `,"snapshot":true`)
	objs := several(100)
	s.write(bundle(objs...))
	s.mustRun()
	objs[40], objs[60] = `{"type":"malware"}`, `"text"`
	s.write(bundle(objs...))
	for range 2 {
		s.mustRun()
	}
	rejected := s.Rejected()
	if len(rejected) != 2 {
		t.Fatalf("%d dead letters, want 2", len(rejected))
	}
	if got, want := rejected[0].Position, s.path+"#40"; got != want {
		t.Errorf("position %s, want %s", got, want)
	}
	if string(rejected[0].Raw) != objs[40] || !strings.Contains(rejected[0].Reason, "id") {
		t.Errorf("got %s: %s", rejected[0].Raw, rejected[0].Reason)
	}
	s.ops(map[bridge.Op]int{bridge.Create: 100}) // and nothing was deleted: the snapshot was not well formed
	if s.Figures().Prunes != 1 {
		t.Errorf("%d prunes, want the first only", s.Figures().Prunes)
	}
}

func TestInputThatBreaksOff(t *testing.T) {
	whole := bundle(several(20)...)
	at := strings.Index(whole, "name 12")
	tests := []struct{ name, text, want string }{
		{"truncated", whole[:at], "not complete, well-formed JSON"},
		{"not JSON in the middle", whole[:at-8] + "!" + whole[at-8:], "not complete, well-formed JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSource(t, `,"snapshot":true`)
			s.write(bundle(append(several(3), malware(99, "2026-11-01T00:00:00Z", "gone"))...))
			s.mustRun()
			s.write(tt.text)
			for range 2 {
				if err := s.run(); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("got %v", err)
				}
			}
			s.ops(map[bridge.Op]int{bridge.Create: 13}) // 4 and 9 more before the break, no delete
			s.write(whole)
			if err := s.run(); err != nil {
				t.Fatal(err)
			}
			s.ops(map[bridge.Op]int{bridge.Create: 21, bridge.Delete: 1})
		})
	}
}

func TestWhatIsNoSTIXIsOneClearErrorAndDeletesNothing(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"an empty file", "", "empty"},
		{"a web page", "\n<!DOCTYPE html><html>", "HTML"},
		{"an error in JSON", `{"error":"quota exceeded"}`, "neither a bundle"},
		{"plain text", "maintenance until 10:00", "JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSource(t, `,"snapshot":true`)
			s.write(bundle(several(1)...))
			s.mustRun()
			before := string(s.LastCursor())
			s.write(tt.text)
			if err := s.run(); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), s.path) {
				t.Errorf("got %v", err)
			}
			s.ops(map[bridge.Op]int{bridge.Create: 1})
			if string(s.LastCursor()) != before {
				t.Errorf("the cursor moved to %s", s.LastCursor())
			}
		})
	}
}

func TestSnapshot(t *testing.T) {
	tests := []struct {
		name      string
		first     int
		second    int
		deletes   int
		refused   bool
		configure string
	}{
		{"one of many gone is deleted", 30, 29, 1, false, `,"snapshot":true`},
		{"one of three gone is deleted", 3, 2, 1, false, `,"snapshot":true`},
		{"half gone is an error", 30, 15, 0, true, `,"snapshot":true`},
		{"without snapshot nothing is deleted", 30, 15, 0, false, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSource(t, tt.configure)
			s.write(bundle(several(tt.first)...))
			s.mustRun()
			s.write(bundle(several(tt.second)...))
			for range 2 { // the error stays until it is resolved
				if err := s.run(); (err != nil) != tt.refused {
					t.Fatalf("got %v", err)
				}
			}
			if got := s.Ops()[bridge.Delete]; got != tt.deletes {
				t.Errorf("%d deletes, want %d", got, tt.deletes)
			}
			if tt.refused {
				s.MaxDelete = 1
				s.mustRun()
				if got := s.Ops()[bridge.Delete]; got != tt.first-tt.second {
					t.Errorf("%d deletes once allowed, want %d", got, tt.first-tt.second)
				}
			}
		})
	}
}

func TestSnapshotSwitchedOnLaterTakesEffectWithoutANewVersion(t *testing.T) {
	s := newSource(t, "")
	s.write(bundle(several(30)...))
	s.mustRun()
	s.write(bundle(several(29)...))
	s.mustRun()
	s.more = `,"snapshot":true`
	s.mustRun()
	s.ops(map[bridge.Op]int{bridge.Create: 30, bridge.Delete: 1})
}

func TestAnEnvelopeThatHasMoreIsNoSnapshot(t *testing.T) {
	s := newSource(t, `,"snapshot":true`)
	s.write(bundle(several(5)...))
	s.mustRun()
	s.write(`{"more":true,"next":"x","objects":[` + strings.Join(several(4), ",") + `]}`)
	s.mustRun()
	s.ops(map[bridge.Op]int{bridge.Create: 5})
}

func TestAHalfReadFileIsResumedAtItsCursor(t *testing.T) {
	s := newSource(t, "")
	const n = 12_000
	s.write(bundle(several(n)...))
	s.KillAfter(11_000)
	if err := s.run(); !errors.Is(err, bridgetest.ErrKilled) {
		t.Fatal(err)
	}
	if c := s.cursor(); c.Index != 10_000 || c.Done {
		t.Fatalf("cursor %+v, want index 10000 of the second commit", c)
	}
	s.Restart(true)
	before := s.Figures().Puts
	s.mustRun()
	if got := s.Figures().Puts - before; got != n-10_000 {
		t.Errorf("%d changes put after the restart, want %d", got, n-10_000)
	}
	if len(s.Objects()) != n || !s.cursor().Done {
		t.Errorf("%d objects, cursor %s", len(s.Objects()), s.LastCursor())
	}
}

func TestAHalfReadFileThatChangedIsReadFromTheStart(t *testing.T) {
	s := newSource(t, "")
	s.write(bundle(several(6000)...))
	s.KillAfter(5500)
	if err := s.run(); !errors.Is(err, bridgetest.ErrKilled) {
		t.Fatal(err)
	}
	s.Restart(true)
	s.write(bundle(append([]string{malware(0, "2026-11-02T00:00:00.000Z", "changed")}, several(6000)[1:]...)...))
	s.mustRun()
	s.ops(map[bridge.Op]int{bridge.Create: 6000, bridge.Update: 1})
}

// A half-read download goes on from the copy on disk; it is not fetched again while the source says that it is current.
func TestAHalfReadDownloadIsResumedFromItsCopy(t *testing.T) {
	text := bundle(several(6000)...)
	srv := bridgetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
	section, dir, r := fmt.Sprintf(`{"url":%q}`, srv.URL+"/feed?key=s3cret"), t.TempDir(), bridgetest.NewRecorder()
	r.KillAfter(5500)
	if err := produce(t.Context(), t, r, section, dir); !errors.Is(err, bridgetest.ErrKilled) {
		t.Fatal(err)
	}
	r.Restart(true)
	before := r.Figures().Puts
	if err := produce(t.Context(), t, r, section, dir); err != nil {
		t.Fatal(err)
	}
	if srv.NotModified() != 1 || r.Figures().Puts-before != 1000 {
		t.Errorf("%d answers 304, %d changes put; want 1 and 1000", srv.NotModified(), r.Figures().Puts-before)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if c := string(r.LastCursor()); strings.Contains(c, "s3cret") {
		t.Errorf("the cursor shows a secret: %s", c)
	}
	// The copy is gone or damaged: it is fetched again.
	for _, damage := range []func(){func() { _ = os.Remove(filepath.Join(dir, spoolName)) }, func() { _ = os.Truncate(filepath.Join(dir, spoolName), 100) }} {
		r := bridgetest.NewRecorder()
		r.KillAfter(5500)
		_ = produce(t.Context(), t, r, section, dir)
		r.Restart(true)
		damage()
		if err := produce(t.Context(), t, r, section, dir); err != nil || len(r.Objects()) != 6000 {
			t.Errorf("%d objects, %v", len(r.Objects()), err)
		}
	}
}

func TestHeadersGoOut(t *testing.T) {
	srv := bridgetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != "k3y" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, bundle(several(1)...))
	}))
	r := bridgetest.NewRecorder()
	if err := produce(t.Context(), t, r, fmt.Sprintf(`{"url":%q}`, srv.URL), ""); !bridge.IsPaused(err) {
		t.Errorf("without the key: %v", err)
	}
	if err := produce(t.Context(), t, r, fmt.Sprintf(`{"url":%q,"headers":{"x-key":"k3y"}}`, srv.URL), ""); err != nil {
		t.Error(err)
	}
}

func TestAFileThatChangesWhileItIsReadIsReadAgain(t *testing.T) {
	s := newSource(t, `,"snapshot":true`)
	s.write(bundle(several(5)...))
	s.mustRun()
	s.write(bundle(append(several(4), malware(9, "2026-11-01T00:00:00Z", "x"))...))
	writer := &appender{Recorder: s.Recorder, path: s.path}
	p, _ := Plugin.Build(json.RawMessage(fmt.Sprintf(`{"path":%q,"snapshot":true}`, s.path)))
	if err := p.Produce(t.Context(), bridge.NewRun("attack", writer, nil, nil)); err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Fatalf("got %v", err)
	}
	if s.Ops()[bridge.Delete] != 0 {
		t.Error("something was deleted")
	}
	s.mustRun()
	s.ops(map[bridge.Op]int{bridge.Create: 6, bridge.Delete: 1})
}

// appender changes the file under the reader at the first Put.
type appender struct {
	*bridgetest.Recorder
	path string
	once bool
}

func (a *appender) Put(ctx context.Context, c ...bridge.Change) error {
	if !a.once {
		a.once = true
		f, err := os.OpenFile(a.path, os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteString("\n"); err != nil {
			return err
		}
		_ = os.Chtimes(a.path, time.Now(), time.Now().Add(time.Second))
	}
	return a.Recorder.Put(ctx, c...)
}

func TestFilesThatCannotBeReadAreNamed(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{filepath.Join(dir, "none.json"): "no such file", dir: "is a directory"} {
		err := produce(t.Context(), t, bridgetest.NewRecorder(), fmt.Sprintf(`{"url":%q}`, path), "")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v", err)
		}
	}
}

func TestAPipeIsReadOnce(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	path := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if _, err := os.Stat(path); err != nil {
		t.Skip("no /dev/fd here")
	}
	go func() {
		fmt.Fprint(w, bundle(several(2000)...))
		_ = w.Close()
	}()
	rec := bridgetest.NewRecorder()
	if err := produce(t.Context(), t, rec, fmt.Sprintf(`{"path":%q}`, path), ""); err != nil || len(rec.Objects()) != 2000 {
		t.Errorf("%d objects, %v", len(rec.Objects()), err)
	}
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	for section, want := range map[string]string{
		`{}`:                                              "name what to read",
		`{"url":"./a","path":"./b"}`:                      "not in both",
		`{"url":"ftp://u:pa55@h/x"}`:                      "neither http",
		`{"path":"https://h/x"}`:                          "write it under url",
		`{"url":"./a","format":"csv"}`:                    "none of auto",
		`{"url":"./a","headers":{"a":"b"}}`:               "only a URL",
		`{"url":"https://h/x","tls":{"ca":"/none/here"}}`: "tls: ca: ",
	} {
		_, err := Plugin.Build(json.RawMessage(section))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pa55") {
			t.Errorf("%s: got %v, want %q", section, err, want)
		}
	}
}

func TestProbe(t *testing.T) {
	srv := bridgetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	probe := func(section string) error {
		p, err := Plugin.Build(json.RawMessage(section))
		if err != nil {
			t.Fatal(err)
		}
		return p.(bridge.Prober).Probe(t.Context())
	}
	if err := probe(fmt.Sprintf(`{"url":%q}`, srv.URL)); err != nil {
		t.Error(err)
	}
	srv.Fault(bridgetest.Forbidden, -1)
	if err := probe(fmt.Sprintf(`{"url":%q}`, srv.URL)); !bridge.IsPaused(err) {
		t.Errorf("got %v", err)
	}
	if err := probe(`{"path":"./none.json"}`); err == nil {
		t.Error("a missing file was found")
	}
}
