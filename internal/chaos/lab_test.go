package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/opencti"
	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
	"github.com/stixbridge/stixbridge/internal/testpeer"
)

const (
	timeout     = 2 * time.Second  // of one delivery
	concurrency = 4                // deliveries of one consumer at a time, in one process
	patience    = 90 * time.Second // for what must come; the machine may be busy
	memory      = 256 << 10        // KiB that a bridge may have resident
)

// lab is everything that runs.
type lab struct {
	t     *testing.T
	seed  uint64
	dir   string
	began time.Time

	cluster  *cluster
	rabbit   testpeer.Rabbit
	pid      int                // of the broker
	platform *octitest.Platform // that is fed through the broker
	live     *live
	stream   *Proxy // to the live stream
	feed     *feed
	exact    *target // knows keys and refuses what is older
	plain    *target // takes everything
	green    *target // knows keys, and may see up to green only
	bridges  []*instance

	quit chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex
	pauses int // times that a bridge was stopped
	record []shown

	position map[string]uint64 // of each consumer when all was at rest, as the bridges say
}

// shown is what came of one fault: who named it.
type shown struct {
	fault, victim, by string
	after             time.Duration
	lasted            time.Duration
}

func newLab(t *testing.T, seed uint64, bridges int) *lab {
	l := &lab{t: t, seed: seed, began: time.Now(), quit: make(chan struct{})}
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.dir, err = os.MkdirTemp("", "stixbridge-chaos-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the first to be registered is the last to run
		if t.Failed() {
			t.Logf("logs are in %s; the same faults again: make chaos SEED=%d", l.dir, seed)
			return
		}
		_ = os.RemoveAll(l.dir)
	})
	l.rabbit = testpeer.RabbitMQ(t)
	l.pid = l.rabbit.Pid(t)
	b := l.rabbit
	l.platform = octitest.New(t, octitest.Options{Broker: octitest.Broker{Host: b.Host, Port: b.Port, VHost: b.VHost, User: b.User, Password: b.Password}})
	l.live = newLive(octitest.New(t, octitest.Options{Heartbeat: time.Second}), seed)
	if l.stream, err = NewProxy(strings.TrimPrefix(l.live.URL, "http://")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.stream.Close)
	l.feed = newFeed(l.dir, seed)
	l.exact, l.plain, l.green = newTarget(t, "exact", true), newTarget(t, "plain", false), newTarget(t, "green", true)
	l.cluster = newCluster(t, l.dir)
	ports := testpeer.Ports(t, bridges)
	for i := range bridges {
		l.bridges = append(l.bridges, l.configure(i, ports[i]))
	}
	t.Cleanup(func() {
		close(l.quit)
		l.wg.Wait()
		for _, b := range l.bridges {
			if b.proc != nil {
				b.signal(syscall.SIGCONT)
				b.kill()
			}
		}
	})
	if err := l.feed.change(); err != nil {
		t.Fatal(err)
	}
	for i, b := range l.bridges {
		if err := b.start(); err != nil {
			t.Fatal(err)
		}
		l.wg.Go(func() { b.watch(l.quit) })
		if i == 0 { // who is first makes the streams
			if err := poll(patience, b.answers); err != nil {
				t.Fatalf("%v\n%s", err, lastLine(b.log))
			}
		}
	}
	if err := poll(patience, l.begun); err != nil {
		t.Fatal(err)
	}
	l.platform.Worker(l.connector())
	return l
}

// configure writes the configuration of a bridge: the same for all but for its directory, its port and its ways to the servers.
func (l *lab) configure(i, port int) *instance {
	name := fmt.Sprintf("b%d", i)
	b := &instance{name: name, config: filepath.Join(l.dir, name+".yaml"), log: filepath.Join(l.dir, name+".log"), http: fmt.Sprintf("127.0.0.1:%d", port), ways: l.cluster.link()}
	var urls []string
	for _, w := range b.ways {
		urls = append(urls, "nats://"+w.Addr)
	}
	text := fmt.Sprintf(`nats: { url: %q, dir: %q, replicas: 3, max_bytes: 64MiB }
http: { listen: %q }
log: { format: text }
producers:
  - { kind: stix, name: feed, path: %q, every: 1s, snapshot: true, tlp: clear }
  - { kind: opencti-live, name: octi, url: %q, token: %q, stream: %q, start: new }
consumers:
  - { kind: webhook, name: exact, url: %q, producers: ['*'], max_tlp: red, start: all, concurrency: %d, timeout: %v }
  - { kind: webhook, name: plain, url: %q, producers: ['*'], max_tlp: red, start: all, concurrency: %d, timeout: %v }
  - { kind: webhook, name: green, url: %q, producers: ['*'], max_tlp: green, start: all, concurrency: %d, timeout: %v }
  - { kind: file, name: archive, path: %q, start: all }
  - { kind: opencti, name: platform, url: %q, token: %q, producers: [feed], start: all, timeout: 10s }
`, strings.Join(urls, ","), filepath.Join(l.dir, name), b.http, l.feed.path, "http://"+l.stream.Addr, l.live.Reader, l.live.Stream,
		l.exact.url(), concurrency, timeout, l.plain.url(), concurrency, timeout, l.green.url(), concurrency, timeout,
		filepath.Join(l.dir, "archive.jsonl"), l.platform.URL, l.platform.Token)
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return b
}

// connector is the id under which the bridges register at the platform.
func (l *lab) connector() string { return opencti.ConnectorID(l.platform.URL, "platform") }

// say prints what happens, with the time since the beginning.
func (l *lab) say(format string, args ...any) {
	l.t.Helper()
	l.t.Logf("%6.1fs  %s", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
}

// begun returns nil when the live stream is followed, the platform has made its queue, and something has arrived everywhere.
func (l *lab) begun() error {
	if l.platform.Connector(l.connector()) == nil {
		return fmt.Errorf("not registered at the platform")
	}
	for _, g := range []*target{l.exact, l.plain, l.green} {
		if len(g.received()) == 0 {
			return fmt.Errorf("nothing arrived at %s", g.name)
		}
	}
	return l.any(func(st bridge.Status) error {
		for _, p := range st.Producers {
			if p.Name == "octi" && p.Extra["heartbeat"] != nil {
				return nil
			}
		}
		return fmt.Errorf("the live stream is not followed")
	})
}

// any returns nil when the condition holds of what one of the bridges says.
func (l *lab) any(condition func(bridge.Status) error) error {
	err := fmt.Errorf("no bridge runs")
	for _, b := range l.bridges {
		st, e := b.status()
		if e == nil {
			e = condition(st)
		}
		if e == nil {
			return nil
		}
		err = e
	}
	return err
}

// positions is how far each consumer is, and the log's end, as far as the bridges say.
func (l *lab) positions() (at map[string]uint64, end uint64, err error) {
	at = map[string]uint64{}
	for _, b := range l.bridges {
		st, err := b.status()
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", b.name, err)
		}
		end = max(end, st.Log.LastSeq)
		for _, k := range st.Consumers {
			at[k.Name] = max(at[k.Name], k.Position)
		}
	}
	return at, end, nil
}

// caughtUp returns nil when both producers have read what their sources say now; stopped is when they said the last.
func (l *lab) caughtUp(stopped time.Time) error {
	want := l.live.Position()
	for name, well := range map[string]func(bridge.ProducerStatus) bool{
		"feed": func(p bridge.ProducerStatus) bool { return p.Health == bridge.Idle && p.LastRun.After(stopped) },
		"octi": func(p bridge.ProducerStatus) bool {
			at, _ := p.Extra["position"].(string)
			return p.Health == bridge.Healthy && !older(at, want)
		},
	} {
		if err := l.any(func(st bridge.Status) error {
			for _, p := range st.Producers {
				if p.Name == name && well(p) {
					return nil
				}
			}
			return fmt.Errorf("producer %s has not read all", name)
		}); err != nil {
			return err
		}
	}
	return nil
}

// older compares positions of a live stream.
func older(a, b string) bool {
	var x, y [2]int64
	_, _ = fmt.Sscanf(a, "%d-%d", &x[0], &x[1])
	_, _ = fmt.Sscanf(b, "%d-%d", &y[0], &y[1])
	return x[0] < y[0] || x[0] == y[0] && x[1] < y[1]
}

// settle waits until the sources are read and every consumer is at the end of a log that does not grow.
func (l *lab) settle() error {
	var still uint64
	begun := time.Now()
	since := begun
	return poll(2*patience, func() error {
		if err := l.caughtUp(begun); err != nil {
			return err
		}
		at, end, err := l.positions()
		if err != nil {
			return err
		}
		l.position = at
		for name, pos := range at {
			if pos < end {
				return fmt.Errorf("consumer %s is at %d of %d", name, pos, end)
			}
		}
		if end != still {
			still, since = end, time.Now()
		}
		if left := 4*time.Second - time.Since(since); left > 0 { // several reads of the same feed
			return fmt.Errorf("the log has grown to %d just now", end)
		}
		return nil
	})
}

// history collects what the log and the targets have, when everything has stopped.
func (l *lab) history() (run Run, err error) {
	b := l.bridges[0]
	text, err := b.command("tap")
	if err != nil {
		return run, err
	}
	if run.Log, err = events(text); err != nil {
		return run, err
	}
	text, err = b.command("dlq", "list", "--json")
	if err != nil {
		return run, err
	}
	letters := map[string][]uint64{}
	for d := json.NewDecoder(strings.NewReader(text)); d.More(); {
		var k struct {
			Name     string
			EventSeq uint64 `json:"event_seq"`
		}
		if err := d.Decode(&k); err != nil {
			return run, err
		}
		letters[k.Name] = append(letters[k.Name], k.EventSeq)
	}
	file, err := os.ReadFile(filepath.Join(l.dir, "archive.jsonl"))
	if err != nil {
		return run, err
	}
	archived, err := events(string(file))
	if err != nil {
		return run, fmt.Errorf("archive: %w", err)
	}
	var kept []Receipt
	for _, e := range archived {
		kept = append(kept, Receipt{Event: e})
	}
	run.Sources = []Source{l.feed.source(), l.live.source()}
	clear := func(e Event) bool { return e.TLP == "clear" || e.TLP == "green" }
	ofFeed := func(e Event) bool { return e.Producer == "feed" }
	run.Consumers = []Consumer{
		{Name: "exact", Receipts: l.exact.received(), Exact: true},
		{Name: "plain", Receipts: l.plain.received(), Late: concurrency * l.pauses},
		{Name: "green", Receipts: l.green.received(), Exact: true, Passes: clear},
		{Name: "archive", Receipts: kept},
		{Name: "platform", Receipts: l.imported(run.Log), Passes: ofFeed, Mirror: true, Keeps: true},
	}
	for i := range run.Consumers {
		k := &run.Consumers[i]
		k.Position, k.Letters = l.position[k.Name], letters[k.Name]
	}
	return run, nil
}

// imported finds for each object that the platform imported the event that it came from, by its content.
func (l *lab) imported(log []Event) (all []Receipt) {
	by := map[string]Event{}
	for _, e := range log {
		if e.Producer == "feed" && !e.TakesBack() {
			by[e.ID+mark(e)] = e
		}
	}
	for _, i := range l.platform.Imports() {
		text, _ := i.Object["description"].(string)
		if !strings.HasPrefix(i.ID, "malware--") {
			continue // a marking that went along
		}
		e, ok := by[i.ID+text]
		if !ok {
			e = Event{ID: i.ID, EventID: "no event says " + text}
		}
		all = append(all, Receipt{Event: e})
	}
	return all
}

// events reads JSON lines; a torn one is an error.
func events(text string) (all []Event, err error) {
	if text != "" && !strings.HasSuffix(text, "\n") {
		return nil, fmt.Errorf("the last line is torn: …%s", text[max(0, len(text)-80):])
	}
	for line := range strings.Lines(text) {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil, fmt.Errorf("no event: %w: %.200s", err, line)
		}
		all = append(all, e)
	}
	return all, nil
}
