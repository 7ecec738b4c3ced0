package opencti

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/opencti"
	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
	"github.com/stixbridge/stixbridge/internal/sse/ssetest"
)

func section(s *ssetest.Server) Config {
	return Config{URL: s.URL, Token: "reader-token", Stream: "live", Start: "1970-01-01T00:00:00.001Z", ListenDelete: true, NoDependencies: true}
}

func TestEventsBecomeChanges(t *testing.T) {
	text, err := os.ReadFile("testdata/live-stream.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := ssetest.New(t, ssetest.Silent(strings.ReplaceAll(string(text), "no-recover", "something-new")))
	tp := newTape()
	if err := play(t, section(s), tp, func(tp *tape) bool { return tp.cursor().ID == "1763856004000-0" }); err == nil {
		t.Error("a live producer ended by itself")
	}
	cs := tp.changes()
	want := []string{"create indicator 3f0b0f0e", "update indicator 3f0b0f0e", "delete indicator 3f0b0f0e", "merge malware 7a0f5a3c"}
	if d := cmp.Diff(want, words(cs)); d != "" {
		t.Fatal(d)
	}
	if c := cs[0]; c.Alias != "0b1f7c52-6d1e-4f0a-9a6b-5a3f2f3c1d01" || cmp.Diff([]string{"indicator--aaaaaaaa-0000-4000-8000-000000000001"}, c.OtherIDs) != "" ||
		c.Context.Origin.User != "88ec0c6a-13ce-5e39-b486-354fe4a7084f" || c.Context.Origin.Platform != opencti.PlatformID(s.URL) || c.Context.ReversePatch != nil {
		t.Errorf("create: %+v", c)
	}
	var patch []struct{ Op, Path string }
	if err := json.Unmarshal(cs[1].Context.ReversePatch, &patch); err != nil || len(patch) != 3 || patch[0].Path != "/modified" {
		t.Errorf("reverse patch of the update: %v, %v", patch, err)
	}
	if len(cs[3].Sources) != 1 || cs[3].Sources[0].Type() != "malware" || cs[3].Sources[0].ID() == cs[3].Object.ID() {
		t.Errorf("merge: %+v", cs[3].Sources)
	}
}

func TestTheRequestCarriesTheOptions(t *testing.T) {
	s := ssetest.New(t, ssetest.Silent(ssetest.Format("", "connected", `{"firstEventId":"1-0","lastEventId":"9-0"}`)+ssetest.Format("10-0", "heartbeat", `"x"`)))
	c := section(s)
	c.ListenDelete, c.NoDependencies, c.WithInferences, c.Start = false, true, true, "2026-11-23T00:00:00Z"
	_ = play(t, c, newTape(), func(tp *tape) bool { return len(tp.health) > 0 })
	r := s.Requests()[0]
	got := map[string]string{"path": r.URL.String()}
	for _, k := range []string{"Authorization", "Listen-Delete", "No-Dependencies", "With-Inferences", "Last-Event-Id", "Accept"} {
		got[k] = r.Header.Get(k)
	}
	want := map[string]string{"path": "/stream/live", "Authorization": "Bearer reader-token", "Listen-Delete": "false", "No-Dependencies": "true", "With-Inferences": "true", "Last-Event-Id": "1795391999999-1073741824", "Accept": "text/event-stream"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// grouped is a stream with groups of events that share an id, dependencies and main events, a repeat of one object, and A→B→A.
var grouped = []frame{
	{"1000-0", "create", object(1, "a", `,"origin":{"referer":"init-dependencies"}`)},
	{"1000-0", "create", object(2, "b", `,"origin":{"referer":"init-dependencies"}`)},
	{"1000-0", "create", object(1, "a")},
	{"1000-0", "create", object(3, "c")},
	{"1000-1", "update", object(3, "d")},
	{"1005-0", "update", object(3, "c")},
	{"1005-0", "heartbeat", `"x"`},
	{"1005-0", "create", object(4, "e")},
	{"1005-0", "create", object(5, "f")},
	{"1009-3", "delete", object(5, "f")},
}

func finished(last string) func(*tape) bool {
	return func(tp *tape) bool { return tp.cursor().ID == last }
}

func TestConnectionsCutAtEveryByteLoseAndRepeatNothing(t *testing.T) {
	whole := newTape()
	s := ssetest.New(t, history(grouped, nil))
	_ = play(t, section(s), whole, finished("2009-0"))
	want := words(whole.changes())
	if len(want) != 9 { // all but the heartbeat
		t.Fatalf("%d changes: %q", len(want), want)
	}
	size := 0
	for _, f := range append([]frame{connectedFrame("1000-0", "1009-3")}, grouped...) {
		size += len(ssetest.Format(f.id, f.name, f.data))
	}
	step := 1
	if testing.Short() {
		step = 17
	}
	for n := 1; n < size; n += step {
		for _, fault := range []ssetest.Fault{{After: n, Cut: true}, {After: n, End: true}} {
			tp := newTape()
			s := ssetest.New(t, history(grouped, func(conn int) ssetest.Fault {
				if conn == 0 {
					return fault
				}
				return ssetest.Fault{}
			}))
			_ = play(t, section(s), tp, finished("2009-0"))
			if d := cmp.Diff(want, words(tp.changes())); d != "" {
				t.Fatalf("%+v (-want +got):\n%s", fault, d)
			}
		}
	}
}

func TestAKillAnywhereLosesAndRepeatsNothing(t *testing.T) {
	whole := newTape()
	s := ssetest.New(t, history(grouped, nil))
	_ = play(t, section(s), whole, finished("2009-0"))
	want := words(whole.changes())
	// Whatever beginning of the tape the log has kept, the next life goes on from the last cursor in it.
	for n := range len(whole.entries) + 1 {
		tp := newTape(whole.entries[:n]...)
		_ = play(t, section(s), tp, finished("2009-0"))
		if d := cmp.Diff(want, words(tp.changes())); d != "" {
			t.Fatalf("killed after %d entries (-want +got):\n%s", n, d)
		}
	}
}

func TestAnErrorOfTheRuntimeEndsTheRun(t *testing.T) {
	s := ssetest.New(t, history(grouped, nil))
	for n := 1; n < 12; n++ {
		tp := newTape()
		tp.stopAt = n
		if err := play(t, section(s), tp, nil); !errors.Is(err, errStopped) {
			t.Errorf("stopped after %d entries: %v", n, err)
		}
	}
}

func TestThePositionMovesOnlyPastWholeGroups(t *testing.T) {
	s := ssetest.New(t, history(grouped, nil))
	tp := newTape()
	_ = play(t, section(s), tp, finished("2009-0"))
	var newest, at position
	for i, e := range tp.all() {
		switch e := e.(type) {
		case bridge.Change:
			for _, f := range grouped {
				if id, _ := parsePosition(f.id); strings.Contains(f.data, string(e.Object.Raw())) && newest.before(id) && !at.before(newest) {
					newest = id
				}
			}
		case json.RawMessage:
			var c cursor
			_ = json.Unmarshal(e, &c)
			id, ok := parsePosition(c.ID)
			if !ok || id.before(at) {
				t.Errorf("entry %d: cursor %s after %s", i, c.ID, at)
			}
			at = id
		}
	}
}

// inPlatform is a platform with n identities and one indicator that refers to the first.
func inPlatform(t *testing.T, n int, o octitest.Options) *octitest.Platform {
	p := octitest.New(t, o)
	for i := range n {
		must(t, p.Upsert(identity1(i, "v1")))
	}
	must(t, p.Upsert(map[string]any{"type": "indicator", "id": "indicator--00000000-0000-4000-8000-000000000001", "name": "i", "pattern": "[url:value='x']", "pattern_type": "stix",
		"created_by_ref": "identity--00000000-0000-4000-8000-000000000000"}))
	return p
}

func identity1(i int, name string) map[string]any {
	return map[string]any{"type": "identity", "id": fmt.Sprintf("identity--%08x-0000-4000-8000-000000000000", i), "name": name}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func follow(p *octitest.Platform) Config {
	return Config{URL: p.URL, Token: bridge.Secret(p.Reader), Stream: p.Stream, Start: "all", Recover: true, ListenDelete: true, NoDependencies: true}
}

// mirrors reports whether the tape asserts exactly what the platform holds.
func mirrors(p *octitest.Platform) func(*tape) bool {
	return func(tp *tape) bool { return cmp.Diff(held(p), tp.state()) == "" }
}

func held(p *octitest.Platform) map[string]string {
	want := map[string]string{}
	for _, id := range p.IDs() {
		b, _ := json.Marshal(p.Object(id))
		want[id] = string(b)
	}
	return want
}

func TestStartAllReadsTheDatabaseThenFollows(t *testing.T) {
	p := inPlatform(t, 40, octitest.Options{Trimming: 5})
	tp := newTape()
	_ = play(t, follow(p), tp, func(tp *tape) bool {
		return mirrors(p)(tp) && tp.cursor().RecoverUntil == "" && tp.cursor().ID != "0-0"
	})
	if len(tp.gaps) > 0 {
		t.Errorf("a first import is no gap: %+v", tp.gaps)
	}
	for _, c := range tp.changes()[:41] {
		if !c.Context.Backfill {
			t.Errorf("%s is news: %+v", c.Object.ID(), c.Context)
		}
	}
	before := len(tp.entries)
	must(t, p.Upsert(identity1(3, "v2")))
	must(t, p.Delete("identity--00000005-0000-4000-8000-000000000000"))
	must(t, p.Merge("identity--00000006-0000-4000-8000-000000000000", "identity--00000007-0000-4000-8000-000000000000"))
	_ = play(t, follow(p), tp, mirrors(p))
	if n := len(p.StreamRequests()); n < 3 || n > 4 {
		t.Errorf("%d connections, want one to ask, one to recover, one to follow unless it was stopped before, and one of the second run", n)
	}
	got := strings.Join(words(tp.changes()[41:]), ", ")
	if want := "update identity 00000003, delete identity 00000005, merge identity 00000006"; !strings.Contains(got, want) || len(tp.entries) <= before {
		t.Errorf("then: %s", got)
	}
}

func TestAKillDuringARecoveryRepeatsItFromItsStart(t *testing.T) {
	p := inPlatform(t, 30, octitest.Options{})
	whole := newTape()
	_ = play(t, follow(p), whole, func(tp *tape) bool {
		return mirrors(p)(tp) && tp.cursor().RecoverUntil == "" && tp.cursor().ID != "0-0"
	})
	for n := 0; n <= len(whole.entries); n += 3 {
		tp := newTape(whole.entries[:n]...)
		if c := tp.cursor(); c.RecoverUntil != "" && c.ID != "0-0" {
			t.Fatalf("after %d entries the cursor has moved into the recovery: %+v", n, c)
		}
		_ = play(t, follow(p), tp, func(tp *tape) bool { return mirrors(p)(tp) && tp.cursor().RecoverUntil == "" })
	}
}

func TestATrimmedHistoryIsAGapThatIsShownAndHealed(t *testing.T) {
	for _, heal := range []bool{true, false} {
		t.Run(fmt.Sprintf("recover %v", heal), func(t *testing.T) {
			p := inPlatform(t, 10, octitest.Options{})
			c := follow(p)
			tp := newTape()
			_ = play(t, c, tp, func(tp *tape) bool {
				return mirrors(p)(tp) && tp.cursor().RecoverUntil == "" && tp.cursor().ID != "0-0"
			})
			from := tp.cursor().ID
			for i := range 10 {
				must(t, p.Upsert(identity1(i, "v2")))
			}
			must(t, p.Upsert(identity1(11, "new")))
			p.Trim(1)
			c.Recover = heal
			if heal {
				_ = play(t, c, tp, mirrors(p))
			} else {
				_ = play(t, c, tp, func(tp *tape) bool {
					return strings.Contains(tp.state()["identity--0000000b-0000-4000-8000-000000000000"], "new")
				})
			}
			if len(tp.gaps) != 1 || tp.gaps[0].From != from || tp.gaps[0].To != p.Position() || tp.gaps[0].Healed != heal {
				t.Errorf("gaps %+v, want one from %s to %s", tp.gaps, from, p.Position())
			}
			old := strings.Contains(tp.state()["identity--00000001-0000-4000-8000-000000000000"], "v1")
			if old == heal {
				t.Errorf("what the gap held is healed: %v", !old)
			}
		})
	}
}

func TestAPlatformThatHeldNothingYetHasNoGap(t *testing.T) {
	for _, start := range []string{"all", "new"} {
		p := octitest.New(t, octitest.Options{})
		c := follow(p)
		c.Start = start
		tp := newTape()
		_ = play(t, c, tp, func(tp *tape) bool { return tp.cursor().Begun && tp.cursor().RecoverUntil == "" })
		for i := range 5 {
			must(t, p.Upsert(identity1(i, "v1")))
		}
		next := len(p.StreamRequests())
		p.StreamFault(func(n int) ssetest.Fault {
			return ssetest.Fault{After: 700, Cut: n == next} // inside the first events
		})
		_ = play(t, c, tp, mirrors(p))
		must(t, p.Upsert(identity1(1, "v2")))
		_ = play(t, c, tp, mirrors(p))
		if len(tp.gaps) > 0 || tp.cursor().RecoverUntil != "" {
			t.Errorf("start %s: gaps %+v, cursor %+v", start, tp.gaps, tp.cursor())
		}
	}
}

func TestStartNewTakesEverythingFromThenOnEvenAfterAKill(t *testing.T) {
	p := inPlatform(t, 5, octitest.Options{})
	c := follow(p)
	c.Start = "new"
	tp := newTape()
	_ = play(t, c, tp, func(tp *tape) bool { return tp.cursor().ID != "" })
	must(t, p.Upsert(identity1(77, "while away")))
	_ = play(t, c, tp, func(tp *tape) bool { return len(tp.changes()) > 0 })
	if got := words(tp.changes()); cmp.Diff([]string{"create identity 0000004d"}, got) != "" {
		t.Errorf("got %q", got)
	}
}

func TestStartAtATimeUsesTheHistoryOrTheDatabase(t *testing.T) {
	p := inPlatform(t, 3, octitest.Options{})
	time.Sleep(5 * time.Millisecond) // ids are milliseconds
	at := time.Now()
	must(t, p.Upsert(identity1(1, "v2")))
	must(t, p.Delete("identity--00000002-0000-4000-8000-000000000000"))
	c := follow(p)
	c.Start = at.UTC().Format("2006-01-02T15:04:05.000Z")
	tp := newTape()
	_ = play(t, c, tp, func(tp *tape) bool { return len(tp.changes()) >= 2 })
	if d := cmp.Diff([]string{"update identity 00000001", "delete identity 00000002"}, words(tp.changes())); d != "" {
		t.Error("from the history:", d)
	}
	p.Trim(1)
	tp = newTape()
	_ = play(t, c, tp, func(tp *tape) bool { return len(tp.changes()) >= 2 })
	if d := cmp.Diff([]string{"create identity 00000001 backfill", "delete identity 00000002"}, words(tp.changes())); d != "" || len(tp.gaps) > 0 {
		t.Error("from the database:", d, tp.gaps)
	}
}

func TestAnObjectThatLeavesTheFilterIsRetracted(t *testing.T) {
	p := octitest.New(t, octitest.Options{Filter: func(o map[string]any) bool { return o["name"] != "hidden" }})
	c := follow(p)
	must(t, p.Upsert(identity1(1, "seen")))
	must(t, p.Upsert(identity1(2, "hidden")))
	must(t, p.Upsert(identity1(1, "hidden")))
	must(t, p.Upsert(identity1(2, "seen")))
	c.Recover = false
	tp := newTape()
	_ = play(t, c, tp, func(tp *tape) bool { return len(tp.changes()) >= 3 })
	if d := cmp.Diff([]string{"create identity 00000001", "retract identity 00000001 left_filter", "create identity 00000002"}, words(tp.changes())); d != "" {
		t.Error(d)
	}
}

func TestTheUserSeesWhyTheStreamIsRefused(t *testing.T) {
	tests := []struct {
		status             int
		reason, retryAfter string
		want               string
	}{
		{401, "You must be logged in", "", "check token and stream"},
		{403, "Forbidden", "", "TAXIIAPI"},
		{404, "Not Found", "", "no such live stream"},
		{410, "This live stream is stopped", "", "start the live stream in the platform"},
		{429, "Too Many Requests", "1", "429"},
		{503, "Service Unavailable", "", "503"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			s := ssetest.New(t, ssetest.Refuse(tt.status, tt.reason, tt.retryAfter), ssetest.Refuse(tt.status, tt.reason, ""), history(grouped, nil))
			tp := newTape()
			begin := time.Now()
			_ = play(t, section(s), tp, finished("2009-0"))
			if len(tp.health) < 2 || !strings.Contains(tp.health[0], tt.want) || !strings.Contains(tp.health[0], tt.reason) || tp.health[len(tp.health)-1] != "ok" {
				t.Errorf("health %q", tp.health)
			}
			if len(tp.changes()) != 9 {
				t.Errorf("%d changes after it", len(tp.changes()))
			}
			if tt.retryAfter != "" && time.Since(begin) < time.Second {
				t.Error("Retry-After was not honoured")
			}
		})
	}
}

func TestAnErrorEventAndSilenceLeadToANewConnection(t *testing.T) {
	hello := ssetest.Format("", "connected", `{"firstEventId":"1000-0","lastEventId":"1009-3"}`)
	s := ssetest.New(t,
		ssetest.Silent(hello+ssetest.Format("", "error", `{"stream":"live","message":"out of luck"}`)),
		ssetest.Silent(hello),
		ssetest.Play(hello),
		history(grouped, nil))
	tp := newTape()
	_ = play(t, section(s), tp, finished("2009-0"), func(p *producer) { p.idle = 200 * time.Millisecond })
	said := strings.Join(tp.health, " | ")
	for _, want := range []string{"out of luck", "silent for", "ended the stream"} {
		if !strings.Contains(said, want) {
			t.Errorf("health %q lacks %q", said, want)
		}
	}
}

func TestAnEventThatIsTooLargeTwiceIsADeadLetterAndTheRestArrives(t *testing.T) {
	frames := append([]frame{}, grouped[:5]...)
	frames = append(frames, frame{"1003-0", "update", object(9, strings.Repeat("x", 4000))})
	frames = append(frames, grouped[5:]...)
	s := ssetest.New(t, history(frames, nil))
	tp := newTape()
	_ = play(t, section(s), tp, finished("2009-0"), func(p *producer) { p.max = 2000 })
	if len(tp.rejects) != 1 || tp.rejects[0].Position != "1003-0" || !strings.Contains(tp.rejects[0].Reason, "larger than 2000 bytes") {
		t.Errorf("rejected %+v", tp.rejects)
	}
	if n := len(tp.changes()); n != 9 {
		t.Errorf("%d changes", n)
	}
	if n := len(s.Requests()); n != 3 {
		t.Errorf("%d connections", n)
	}
}

func TestAMalformedEventIsADeadLetterAndTheNextIsTaken(t *testing.T) {
	frames := []frame{
		{"1-0", "create", `{"version":"4","data":{"type":"identity"`},
		{"2-0", "create", `{"version":"4"}`},
		{"3-0", "create", `{"version":"4","data":{"name":"no id"}}`},
		{"4-0", "create", `[1]`},
		{"4-1", "create", object(8, "and more") + "{}"},
		{"what", "create", object(7, "an id that is no position")},
		{"5-0", "create", object(1, "good")},
	}
	s := ssetest.New(t, history(frames, nil))
	tp := newTape()
	c := section(s)
	c.Start = "all"
	_ = play(t, c, tp, func(tp *tape) bool { return tp.cursor().ID == "1005-0" })
	if d := cmp.Diff([]string{"create identity 00000007", "create identity 00000001"}, words(tp.changes())); d != "" {
		t.Error(d)
	}
	var at []string
	for _, r := range tp.rejects {
		at = append(at, r.Position)
		if len(r.Raw) == 0 || r.Reason == "" {
			t.Errorf("rejected %+v", r)
		}
	}
	if d := cmp.Diff([]string{"1-0", "2-0", "3-0", "4-0", "4-1"}, at); d != "" {
		t.Error(d)
	}
}

func TestAPlatformThatDoesNotRecoverSaysSoAndIsFollowedFromThere(t *testing.T) {
	s := ssetest.New(t,
		ssetest.Silent(ssetest.Format("", "connected", `{"firstEventId":"500-0","lastEventId":"900-0"}`)),
		ssetest.Silent(ssetest.Format("", "connected", `{"firstEventId":"500-0","lastEventId":"900-0"}`)+ssetest.Format("1000-0", "no-recover", `{"message":"origin filters","resume_from":"1000-0"}`)+
			ssetest.Format("1001-0", "create", object(1, "a"))+ssetest.Format("1002-0", "heartbeat", `"x"`)))
	c := section(s)
	c.Start, c.Recover = "all", true
	tp := newTape()
	_ = play(t, c, tp, func(tp *tape) bool { return tp.cursor().ID == "1001-0" })
	if len(tp.gaps) != 1 || tp.gaps[0].Healed || !strings.Contains(tp.gaps[0].Detail, "origin filters") || tp.cursor().RecoverUntil != "" {
		t.Errorf("gaps %+v, cursor %+v", tp.gaps, tp.cursor())
	}
	if r := s.Requests()[1]; r.URL.Query().Get("recover") != "1970-01-01T00:00:00.900Z" || r.Header.Get("Last-Event-Id") != "0-0" {
		t.Errorf("recovery asked with %s from %s", r.URL, r.Header.Get("Last-Event-Id"))
	}
}

func TestWrongSectionsNameTheirKey(t *testing.T) {
	good := Config{URL: "https://x", Token: "t", Stream: "s"}
	tests := []struct {
		key    string
		change func(*Config)
	}{
		{"url", func(c *Config) { c.URL = "" }},
		{"url", func(c *Config) { c.URL = "ftp://x" }},
		{"token", func(c *Config) { c.Token = "" }},
		{"stream", func(c *Config) { c.Stream = "" }},
		{"stream", func(c *Config) { c.Stream = "a/b" }},
		{"start", func(c *Config) { c.Start = "yesterday" }},
		{"tls", func(c *Config) { c.TLS.CA = "/nowhere" }},
	}
	if _, err := newProducer(good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		c := good
		tt.change(&c)
		_, err := newProducer(c)
		var got string
		bridge.EachKey(err, func(key string, _ error) { got = key })
		if got != tt.key {
			t.Errorf("key %q, want %q: %v", got, tt.key, err)
		}
	}
}

func TestStartAtTheEpochIsAPosition(t *testing.T) {
	for start, want := range map[string]string{"1970-01-01T00:00:00Z": "0-0", "1969-01-01T00:00:00Z": "0-0", "1970-01-01T00:00:01Z": "999-1073741824"} {
		made, err := newProducer(Config{URL: "https://x", Token: "reader-token", Stream: "s", Start: start})
		must(t, err)
		if got := made.(*producer).since; got != want {
			t.Errorf("%s: %s, want %s", start, got, want)
		}
	}
}

func TestProbe(t *testing.T) {
	p := inPlatform(t, 1, octitest.Options{})
	made, _ := newProducer(follow(p))
	if err := made.(bridge.Prober).Probe(t.Context()); err != nil {
		t.Error(err)
	}
	p.RefuseStream(410, "This live stream is stopped", "")
	if err := made.(bridge.Prober).Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "start the live stream") {
		t.Error(err)
	}
	made.(*producer).client.CloseIdleConnections()
}
