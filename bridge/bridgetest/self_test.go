package bridgetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/httpx"
	"github.com/stixbridge/stixbridge/stix"
)

// A suite that passes everything proves nothing. Each of these plugins has one fault, and one check must find it; TestThePlugin runs in a process of its own
// because it fails.
var faulty = []struct{ kind, fault, check string }{
	{"producer", "nothing", ""},
	{"producer", "commits before it puts", "killed_and_resumed,_nothing_is_lost_and_nothing_comes_twice"},
	{"producer", "swallows the error of Put", "killed_and_resumed,_nothing_is_lost_and_nothing_comes_twice"},
	{"producer", "makes ids up", "the_same_again_makes_no_event"},
	{"producer", "stops early", "everything_arrives"},
	{"producer", "keeps no cursor", "everything_arrives"},
	{"producer", "leaves a goroutine", "everything_arrives"},
	{"producer", "takes an outage for an empty source", "faults_of_the_source_are_errors_of_the_right_kind_and_change_nothing"},
	{"producer", "calls every error permanent", "faults_of_the_source_are_errors_of_the_right_kind_and_change_nothing"},
	{"producer", "asks without its context", "cancelled_while_the_source_is_silent,_it_returns_within_a_second"},
	{"producer", "follows redirects anywhere", "a_redirect_to_an_address_inside_is_refused"},
	{"live producer", "nothing", ""},
	{"live producer", "is silent about faults", "after_a_fault_everything_arrives"},
	{"live producer", "gives up", "after_a_fault_everything_arrives"},
	{"live producer", "swallows the error of Put", "killed_and_resumed,_nothing_is_lost_and_nothing_comes_twice"},
	{"live producer", "asks without its context", "cancelled_while_the_source_is_silent,_it_returns_within_a_second"},
	{"sink", "nothing", ""},
	{"sink", "drops every fifth event", "every_event_arrives_once_and_in_order,_in_batches_of_7"},
	{"sink", "sends twice", "every_event_arrives_once_and_in_order,_in_batches_of_1"},
	{"sink", "keeps the last event back", "killed_anywhere_and_resumed,_every_event_arrives"},
	{"sink", "swallows errors", "after_each_fault_everything_arrives"},
	{"sink", "calls every error permanent", "each_fault_is_an_error_of_the_right_kind"},
	{"sink", "shows its secret", "each_fault_is_an_error_of_the_right_kind"},
	{"sink", "asks without its context", "cancelled_while_the_target_is_silent,_it_returns_within_a_second"},
	{"enricher", "nothing", ""},
	{"enricher", "answers its own answer", "its_own_answer_is_not_answered_again"},
	{"enricher", "answers a retract", "a_delete,_an_expire_and_a_retract_are_not_answered"},
	{"enricher", "answers everything", "what_it_knows_is_answered,_what_it_does_not_know_is_not"},
}

func TestTheSuitesFindWhatIsWrong(t *testing.T) {
	for _, f := range faulty {
		t.Run(f.kind+" that does "+f.fault, func(t *testing.T) {
			run := "^TestThePlugin$"
			if f.check != "" {
				t.Parallel() // most of the time is waiting
				run += "/^" + strings.ReplaceAll(f.check, ".", `\.`) + "$"
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", run, "-test.v", "-test.timeout", "60s")
			cmd.Env = append(os.Environ(), "BRIDGETEST_KIND="+f.kind, "BRIDGETEST_FAULT="+f.fault)
			out, err := cmd.CombinedOutput()
			switch failed := bytes.Contains(out, []byte("--- FAIL: TestThePlugin/"+f.check)); {
			case f.check == "" && err != nil:
				t.Errorf("nothing is wrong with it, but: %s", out)
			case f.check != "" && !failed:
				t.Errorf("%s did not find it: %s", f.check, out)
			}
		})
	}
}

func TestThePlugin(t *testing.T) {
	fault := os.Getenv("BRIDGETEST_FAULT")
	patience = 3 * time.Second
	switch kind := os.Getenv("BRIDGETEST_KIND"); kind {
	case "producer", "live producer":
		live := kind == "live producer"
		Producer(t, ProducerCase{
			Plugin: bridge.Define("list", "", listConfig{}, func(c listConfig) (bridge.Producer, error) {
				if live {
					return &follower{lister{c, fault}}, nil
				}
				return &lister{c, fault}, nil
			}).With(bridge.Traits{Live: live}),
			Source: func(testing.TB) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_ = json.NewEncoder(w).Encode(objectsOf(Sample()))
				})
			},
			Section: func(url string) string { return fmt.Sprintf(`{"url":%q}`, url) },
			Objects: len(objectsOf(Sample())), Closed: true,
		})
	case "sink":
		Sink(t, SinkCase{
			Plugin:  bridge.Define("post", "", listConfig{}, func(c listConfig) (bridge.Sink, error) { return newPoster(c, fault), nil }),
			Secrets: []string{"s3cret"},
			Target: func(t testing.TB) Target {
				return NewHTTPTarget(t, func(url string) string { return fmt.Sprintf(`{"url":%q}`, url+"/?key=s3cret") }, func(_ *http.Request, b []byte) (got []Receipt, err error) {
					for line := range bytes.Lines(b) {
						r, err := ReadLine(line)
						if err != nil {
							return nil, err
						}
						got = append(got, r)
					}
					return got, nil
				})
			},
		})
	case "enricher":
		Enricher(t, EnricherCase{
			Plugin:  bridge.Define("tag", "", listConfig{}, func(listConfig) (bridge.Enricher, error) { return tagger(fault), nil }),
			Section: func(testing.TB) string { return "{}" },
			Hits:    []stix.Object{Must(`{"type":"url","id":"url--1","value":"x"}`)},
			Misses:  []stix.Object{Must(`{"type":"url","id":"url--2","value":"y"}`)},
		})
	default:
		t.Skip("runs in a process of its own, see TestTheSuitesFindWhatIsWrong")
	}
}

func objectsOf(events []bridge.Event) []stix.Object {
	r := NewRecorder()
	for _, e := range events {
		_ = r.Put(context.Background(), bridge.Change{Object: e.Object})
	}
	return r.Objects()
}

type listConfig struct {
	URL string `json:"url"`
}

// lister is a producer of a JSON array.
type lister struct {
	listConfig
	fault string
}

func (l *lister) Produce(ctx context.Context, run *bridge.Run) error {
	var at int
	if err := run.Cursor(ctx, &at); err != nil {
		return err
	}
	client, asked := run.HTTP, ctx
	switch l.fault {
	case "asks without its context":
		asked = context.WithoutCancel(ctx)
	case "follows redirects anywhere":
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	case "leaves a goroutine":
		go func() { time.Sleep(time.Minute) }()
	}
	r, err := httpx.Fetch(asked, client, l.URL, httpx.Validators{})
	var objs []stix.Object
	if err == nil {
		defer r.Body.Close()
		err = json.NewDecoder(r.Body).Decode(&objs)
	}
	switch v, wait := httpx.Classify(err); {
	case err == nil:
	case l.fault == "takes an outage for an empty source":
		return nil
	case l.fault == "calls every error permanent":
		return bridge.Permanent(err)
	case v == httpx.Denied:
		return bridge.Paused(err)
	case v == httpx.Later:
		return bridge.RetryAfter(err, wait)
	default:
		return err
	}
	if at >= len(objs) {
		at = 0
	}
	for i, o := range objs[at:] {
		switch {
		case l.fault == "makes ids up":
			o, _ = o.Set("id", fmt.Sprintf("%s--%d", o.Type(), time.Now().UnixNano()))
		case l.fault == "stops early" && i == len(objs)-1:
			return run.Commit(ctx, len(objs))
		case l.fault == "commits before it puts":
			_ = run.Commit(ctx, at+i+1)
		}
		if err := run.Upsert(ctx, o); err != nil && l.fault == "swallows the error of Put" {
			return nil
		} else if err != nil {
			return err
		}
		if i%5 == 4 && l.fault != "keeps no cursor" {
			if err := run.Commit(ctx, at+i+1); err != nil {
				return err
			}
		}
	}
	if l.fault == "keeps no cursor" {
		return nil
	}
	return run.Commit(ctx, len(objs))
}

// follower is a live producer: it reads the list again and again, and mends itself.
type follower struct{ lister }

func (f *follower) Produce(ctx context.Context, run *bridge.Run) error {
	for {
		err := f.lister.Produce(ctx, run)
		if errors.Is(err, ErrKilled) || ctx.Err() != nil {
			return err
		}
		switch f.fault {
		case "is silent about faults":
		case "gives up":
			if err != nil {
				run.Health(err)
				<-ctx.Done()
				return ctx.Err()
			}
		default:
			run.Health(err)
		}
		if err := run.Pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// poster is a sink that posts lines.
type poster struct {
	listConfig
	fault  string
	client *http.Client
	kept   []bridge.Event
}

func newPoster(c listConfig, fault string) *poster {
	return &poster{listConfig: c, fault: fault, client: httpx.New(httpx.Options{Trusted: []string{c.URL}, Retry: -1, Idle: -1})}
}

func (p *poster) Close() error { p.client.CloseIdleConnections(); return nil }

func (p *poster) Probe(ctx context.Context) error { return p.post(ctx, http.MethodHead, nil) }

func (p *poster) Deliver(ctx context.Context, batch []bridge.Event) error {
	switch p.fault {
	case "keeps the last event back":
		last := batch[len(batch)-1]
		batch, p.kept = append(p.kept, batch[:len(batch)-1]...), []bridge.Event{last}
	case "asks without its context":
		ctx = context.WithoutCancel(ctx)
	case "sends twice":
		batch = append(batch, batch...)
	}
	var body []byte
	for _, e := range batch {
		if p.fault == "drops every fifth event" && e.Seq%5 == 0 {
			continue
		}
		body = append(e.Line(body), '\n')
	}
	err := p.post(ctx, http.MethodPost, body)
	switch {
	case p.fault == "swallows errors":
		return nil
	case p.fault == "calls every error permanent":
		return bridge.Permanent(err)
	case p.fault == "shows its secret" && err != nil:
		return fmt.Errorf("%s: %w", p.URL, err)
	}
	return err
}

func (p *poster) post(ctx context.Context, method string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, p.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := httpx.Do(p.client, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	err = httpx.Check(resp)
	switch v, wait := httpx.Classify(err); {
	case err == nil:
		return nil
	case v == httpx.Denied:
		return bridge.Paused(err)
	case v == httpx.Later:
		return bridge.RetryAfter(err, wait)
	case v == httpx.Invalid:
		return bridge.Permanent(err)
	}
	return err
}

// tagger is an enricher that knows one value.
type tagger string

func (f tagger) Enrich(_ context.Context, e bridge.Event) ([]stix.Object, error) {
	if e.Retracts() && f != "answers a retract" {
		return nil, nil
	}
	if raw, _ := e.Object.Get("value"); string(raw) != `"x"` && f != "answers everything" {
		return nil, nil
	}
	raw, tagged := e.Object.Get("tag")
	if tagged && f != "answers its own answer" {
		return nil, nil
	}
	o, err := e.Object.Set("tag", string(raw)+"+")
	return []stix.Object{o}, err
}

func TestAGoldenFileIsWrittenAndThenHolds(t *testing.T) {
	r := NewRecorder()
	_ = r.Put(t.Context(), bridge.Change{Object: Must(`{"type":"malware","id":"malware--1","name":"<a>"}`)})
	_ = r.Reject(t.Context(), bridge.Rejected{Position: "http://127.0.0.1:1/x#2", Reason: "no id"})
	c := ProducerCase{Golden: filepath.Join(t.TempDir(), "want.jsonl")}
	t.Setenv("BRIDGETEST_UPDATE", "1")
	c.golden(t, r, "http://127.0.0.1:1")
	t.Setenv("BRIDGETEST_UPDATE", "")
	c.golden(t, r, "http://127.0.0.1:1")
	got, _ := os.ReadFile(c.Golden)
	want := `{"op":"create","object":{"type":"malware","id":"malware--1","name":"<a>"}}` + "\n" + `{"rejected":"source/x#2","reason":"no id"}` + "\n"
	if string(got) != want {
		t.Errorf("got %s", got)
	}
}

func TestARecorderDecidesAsTheLogDoes(t *testing.T) {
	a := Must(`{"type":"malware","id":"malware--1","name":"a"}`)
	b := Must(`{"type":"malware","id":"malware--1","name":"b"}`)
	r := NewRecorder()
	run := bridge.NewRun("x", r, nil, nil)
	for _, o := range []stix.Object{a, a, b, a} {
		if err := run.Upsert(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	_ = run.Commit(t.Context(), 1)
	_ = run.Delete(t.Context(), a, a)
	want := map[bridge.Op]int{bridge.Create: 1, bridge.Update: 2, bridge.Delete: 1}
	for op, n := range want {
		if got := r.Ops()[op]; got != n {
			t.Errorf("%s: %d, want %d", op, got, n)
		}
	}
	r.KillAfter(0)
	if err := run.Upsert(t.Context(), b); !errors.Is(err, ErrKilled) {
		t.Errorf("got %v", err)
	}
	if err := run.Commit(t.Context(), 2); !errors.Is(err, ErrKilled) {
		t.Errorf("got %v", err)
	}
	r.Restart(true)
	if len(r.Objects()) != 1 || string(r.LastCursor()) != "1" {
		t.Errorf("after the restart: %v, cursor %s: want what the last commit had", r.Objects(), r.LastCursor())
	}
}
