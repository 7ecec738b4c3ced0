package opencti

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/sse/ssetest"
	"github.com/stixbridge/stixbridge/stix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tape is an intake that keeps what it is told, in order. What a log keeps of it when the process is killed is a beginning of it.
type tape struct {
	mu      sync.Mutex
	entries []any // bridge.Change or json.RawMessage
	before  int   // entries of earlier lives
	stopAt  int   // entries after which Put and Commit fail; 0: never
	rejects []bridge.Rejected
	gaps    []bridge.Gap
	health  []string
	learned []string
	moved   chan struct{}
}

var errStopped = errors.New("stopped by the test")

func newTape(entries ...any) *tape {
	return &tape{entries: entries, before: len(entries), moved: make(chan struct{})}
}

func (t *tape) add(e any) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopAt > 0 && len(t.entries) >= t.stopAt {
		return errStopped
	}
	t.entries = append(t.entries, e)
	t.signal()
	return nil
}

func (t *tape) signal() {
	close(t.moved)
	t.moved = make(chan struct{})
}

func (t *tape) Put(_ context.Context, cs ...bridge.Change) error {
	for _, c := range cs {
		if err := t.add(c); err != nil {
			return err
		}
	}
	return nil
}

func (t *tape) Commit(_ context.Context, cursor json.RawMessage) error { return t.add(cursor) }

func (t *tape) Cursor(context.Context) (json.RawMessage, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.entries) - 1; i >= 0; i-- {
		if c, ok := t.entries[i].(json.RawMessage); ok {
			return c, nil
		}
	}
	return nil, nil
}

func (t *tape) Reject(_ context.Context, r bridge.Rejected) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rejects = append(t.rejects, r)
	t.signal()
	return nil
}

func (t *tape) Learn(o stix.Object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.learned = append(t.learned, o.ID())
}

func (t *tape) Prune(context.Context, func(string) bool) (int, error) {
	return 0, errors.New("a live stream must not prune")
}

func (t *tape) Gap(_ context.Context, g bridge.Gap) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gaps = append(t.gaps, g)
	t.signal()
	return nil
}

func (t *tape) Progress(int64, int64, string) {}

func (t *tape) Health(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := "ok"
	if err != nil {
		text = err.Error()
	}
	if len(t.health) == 0 || t.health[len(t.health)-1] != text {
		t.health = append(t.health, text)
	}
	t.signal()
}

func (t *tape) all() []any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]any(nil), t.entries...)
}

// changes are those that the runtime makes events of: a source event that is repeated is silent.
func (t *tape) changes() []bridge.Change {
	seen := map[string]bool{}
	var out []bridge.Change
	for _, e := range t.all() {
		if c, ok := e.(bridge.Change); ok && !seen[c.SourceEvent] {
			seen[c.SourceEvent] = true
			out = append(out, c)
		}
	}
	return out
}

// state is what the producer asserts: names or values by id.
func (t *tape) state() map[string]string {
	m := map[string]string{}
	for _, c := range t.changes() {
		if c.Op == bridge.Delete || c.Op == bridge.Retract {
			delete(m, c.Object.ID())
			continue
		}
		for _, s := range c.Sources {
			delete(m, s.ID())
		}
		m[c.Object.ID()] = string(c.Object.Raw())
	}
	return m
}

func (t *tape) cursor() (c cursor) {
	raw, _ := t.Cursor(context.Background())
	_ = json.Unmarshal(raw, &c)
	return c
}

// words writes changes in short: operation, object, reason.
func words(cs []bridge.Change) (out []string) {
	for _, c := range cs {
		id, _, _ := strings.Cut(strings.TrimPrefix(c.Object.ID(), c.Object.Type()+"--"), "-")
		s := fmt.Sprintf("%s %s %s", c.Op, c.Object.Type(), id)
		if c.Context.Reason != "" {
			s += " " + c.Context.Reason
		}
		if c.Context.Backfill {
			s += " backfill"
		}
		out = append(out, s)
	}
	return out
}

// play runs a producer on a tape until cond holds, or the producer ends by itself.
func play(t *testing.T, c Config, tp *tape, cond func(*tape) bool, change ...func(*producer)) error {
	t.Helper()
	if c.Start == "" {
		c.Start = "all"
	}
	made, err := newProducer(c)
	if err != nil {
		t.Fatal(err)
	}
	p := made.(*producer)
	p.pace = pace{idle: 5 * time.Second, least: time.Millisecond, most: 20 * time.Millisecond, mend: time.Millisecond, refused: 5 * time.Millisecond, max: 1 << 20}
	for _, f := range change {
		f(p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Produce(ctx, bridge.NewRun("octi", tp, nil, slog.New(slog.DiscardHandler))) }()
	limit := time.After(30 * time.Second)
	for {
		tp.mu.Lock()
		moved := tp.moved
		tp.mu.Unlock()
		if cond != nil && cond(tp) {
			break
		}
		select {
		case err := <-done:
			p.client.CloseIdleConnections()
			return err
		case <-moved:
		case <-limit:
			cancel()
			<-done
			t.Fatalf("gave up: %d changes, cursor %+v, health %q", len(tp.changes()), tp.cursor(), tp.health)
		}
	}
	cancel()
	err = <-done
	p.client.CloseIdleConnections()
	return err
}

// frame is one event of a scripted stream.
type frame struct{ id, name, data string }

// object makes the data of an event.
func object(n int, name string, more ...string) string {
	return fmt.Sprintf(`{"version":"4","type":"update"%s,"data":{"type":"identity","spec_version":"2.1","id":"identity--%08d-0000-4000-8000-000000000000","name":%q}}`, strings.Join(more, ""), n, name)
}

func connectedFrame(first, last string) frame {
	return frame{"", "connected", fmt.Sprintf(`{"firstEventId":%q,"lastEventId":%q}`, first, last)}
}

// history serves frames as the platform serves its stream: what comes strictly after the id that is asked for, then heartbeats with ids of
// their own.
func history(frames []frame, fault func(n int) ssetest.Fault) ssetest.Script {
	return func(c *ssetest.Conn) {
		defer ssetest.Recover()
		var f ssetest.Fault
		if fault != nil {
			f = fault(c.N)
		}
		w := f.Apply(c)
		c.Begin()
		from, _ := parsePosition(c.Request.Header.Get("Last-Event-Id"))
		first, last := frames[0].id, frames[len(frames)-1].id
		var b strings.Builder
		hello := connectedFrame(first, last)
		b.WriteString(ssetest.Format(hello.id, hello.name, hello.data))
		for _, fr := range frames {
			if id, ok := parsePosition(fr.id); !ok || from.before(id) {
				b.WriteString(ssetest.Format(fr.id, fr.name, fr.data))
			}
		}
		end, _ := parsePosition(last)
		b.WriteString(ssetest.Format(fmt.Sprintf("%d-0", end.ms+1000), "heartbeat", `"x"`))
		b.WriteString(ssetest.Format(fmt.Sprintf("%d-0", end.ms+2000), "heartbeat", `"x"`))
		_, _ = w.Write([]byte(b.String()))
		c.Flush()
		c.Hold()
	}
}
