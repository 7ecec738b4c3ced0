package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// stored is a message of the log as an outside subscriber gets it.
type stored struct {
	subject, text string // text: headers and body
}

// messages reads the log of a running bridge by plain NATS, with the context file that it offers.
func (s *site) messages() (all []stored) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.data, "nats", "context", "stixbridge.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	var c struct{ URL, User, Password string }
	if err := json.Unmarshal(b, &c); err != nil {
		s.t.Fatal(err)
	}
	nc, err := nats.Connect(c.URL, nats.UserInfo(c.User, c.Password))
	if err != nil {
		s.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	stream, err := js.Stream(s.t.Context(), "STIX")
	if err != nil {
		s.t.Fatal(err)
	}
	info := stream.CachedInfo().State
	for seq := info.FirstSeq; seq <= info.LastSeq; seq++ {
		m, err := stream.GetMsg(s.t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			s.t.Fatal(err)
		}
		var w strings.Builder
		_ = http.Header(m.Header).Write(&w)
		w.Write(m.Data)
		all = append(all, stored{m.Subject, w.String()})
	}
	return all
}

// An object whose TLP rises is retracted where it was, before the new version is there; nothing of the red versions shows on a green subject,
// also when it comes down again.
func TestObjectThatBecomesRedLeavesGreenSinksAndNothingRedShowsOnGreenSubjects(t *testing.T) {
	g := newTarget(t, nil)
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json, every: 1s }\nconsumers:\n"+
		"  - { kind: webhook, name: partner, url: %q, producers: ['*'] }\n  - { kind: file, name: all, path: DIR/out.jsonl }\n"+
		"  - { kind: warninglist, name: warnings, lists: [%q] }\n", g.URL, warninglists(t)))
	id := thingID("ipv4-addr", 1)
	object := func(mark, text string) string {
		return fmt.Sprintf(`{"type":"ipv4-addr","spec_version":"2.1","id":%q,"value":"8.8.8.8",%s,"x_note":%q}`, id, mark, text)
	}
	step := func(text string, want ...string) {
		t.Helper()
		s.write("feed.json", bundle(text))
		await(t, patience, func() error {
			var got []string
			for _, l := range s.tap("--producer", "feed") {
				got = append(got, l.TLP+" "+l.Op)
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("events %q, want %q", got, want)
			}
			return nil
		})
	}
	s.write("feed.json", bundle(object(markGreen, "ordinary")))
	p := s.start()
	step(object(markGreen, "ordinary"), "green create")
	p.settled()
	step(object(markRed, "CANARY of the red version"), "green create", "green retract", "red update")
	p.settled()
	if held := state(g.got()); len(held) != 0 {
		t.Errorf("the green sink still holds %v", held)
	}
	if out := s.must(0, "get", id).out; !strings.Contains(out, "CANARY") {
		t.Errorf("get does not show the red version: %s", out)
	}
	step(object(markGreen, "ordinary again"), "green create", "green retract", "red update", "green update")
	p.settled()
	if held := state(g.got()); len(held) != 1 {
		t.Errorf("green again: the sink holds %v", held)
	}
	seen := 0
	for _, m := range s.messages() {
		low := !strings.Contains(m.subject, ".red.") && !strings.Contains(m.subject, ".amber")
		if strings.Contains(m.text, "CANARY") {
			seen++
			if low {
				t.Errorf("red text on %s: %s", m.subject, m.text)
			}
		}
	}
	if seen == 0 {
		t.Error("the log does not hold the red version: the test looks at the wrong place")
	}
	if strings.Contains(g.heard(), "CANARY") {
		t.Errorf("red text was sent to a green sink")
	}
	p.stop()
	log := s.tap()
	// A sink that gets the new version is not told to drop the object first.
	reach := slices.DeleteFunc(slices.Clone(log), func(l line) bool { return l.Op == "retract" })
	complete(t, reach, read(t, s.path("out.jsonl")))
	ordered(t, g.got())
	// The enricher's own assertion goes where its source goes.
	var said []string
	for _, l := range log {
		if l.Producer == "warnings" {
			said = append(said, l.TLP+" "+l.Op)
		}
	}
	if want := []string{"green create", "green retract", "red update", "green update"}; !slices.Equal(said, want) {
		t.Errorf("the enricher's events %q, want %q", said, want)
	}
}

// warninglists are the lists of the enricher's own tests.
func warninglists(t testing.TB) string {
	dir, err := filepath.Abs("../../consumers/warninglist/testdata/lists")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestScoreThatFallsBelowWhereIsRetractedFromThatSink(t *testing.T) {
	hot, all := newTarget(t, nil), newTarget(t, nil)
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json, tlp: clear }\nconsumers:\n"+
		"  - { kind: webhook, name: hot, url: %q, producers: [feed], where: 'score() >= 70' }\n"+
		"  - { kind: webhook, name: all, url: %q, producers: [feed] }\n", hot.URL, all.URL))
	object := func(n, score int) string {
		return thing("indicator", n, fmt.Sprintf(`"pattern":"[domain-name:value = 'a%d.example']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","x_opencti_score":%d`, n, score))
	}
	for _, scores := range [][2]int{{90, 20}, {30, 20}, {95, 10}} {
		s.write("feed.json", bundle(object(1, scores[0]), object(2, scores[1])))
		s.must(0, "run", "--once")
	}
	if got := ops(hot.got(), thingID("indicator", 1)); !slices.Equal(got, []string{"clear create", "clear retract", "clear update"}) {
		t.Errorf("90, 30, 95 at a sink that wants 70: %q", got)
	}
	if got := ops(hot.got(), thingID("indicator", 2)); len(got) != 0 {
		t.Errorf("20, 20, 10 at a sink that wants 70: %q; it never passed", got)
	}
	for _, l := range hot.got() {
		if l.Op == "retract" && (!strings.Contains(string(l.Object), `"x_opencti_score":90`) || !strings.Contains(string(l.Context), "reason")) {
			t.Errorf("the retract carries %s, %s; want the version before and a reason", l.Object, l.Context)
		}
	}
	complete(t, s.tap(), all.got())
}

func TestObjectWhoseValidityEndsWhileRunningLeavesTheTarget(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := newTarget(t, nil)
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json, tlp: clear, every: 1s }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: [feed] }\n", g.URL))
	object := func(n int, until time.Time) string {
		return thing("indicator", n, fmt.Sprintf(`"pattern":"[domain-name:value = 'a%d.example']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","valid_until":%q`, n, until.UTC().Format(time.RFC3339Nano)))
	}
	s.write("feed.json", bundle())
	p := s.start()
	p.settled()
	end := time.Now().Add(6 * time.Second)
	s.write("feed.json", bundle(object(1, end), object(2, end.Add(time.Hour)), object(3, end.Add(-time.Hour))))
	await(t, patience, func() error {
		if n := len(ops(g.got(), thingID("indicator", 1))); n != 2 {
			return fmt.Errorf("%d events of the short one", n)
		}
		return nil
	})
	if early := time.Until(end); early > 0 {
		t.Errorf("expired %v too early", early)
	}
	st := p.settled()
	if got := ops(g.got(), thingID("indicator", 1)); !slices.Equal(got, []string{"clear create", "clear expire"}) {
		t.Errorf("events %q", got)
	}
	held := state(g.got())
	if _, ok := held[thingID("indicator", 2)]; len(held) != 1 || !ok {
		t.Errorf("the target holds %v, want the valid one alone", held)
	}
	if consumer(st, "soc").Held["expired"] == 0 {
		t.Errorf("what came in expired was held back by %v", consumer(st, "soc").Held)
	}
	p.stop()
}
