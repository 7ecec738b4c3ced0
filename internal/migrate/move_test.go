package migrate_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/migrate"
	"github.com/stixbridge/stixbridge/internal/testpeer"
	"github.com/stixbridge/stixbridge/stix"
)

// filled makes an embedded store with n events, a gap at the end, a state and a large payload.
func filled(t *testing.T, n int) (dir, blob string) {
	t.Helper()
	dir = t.TempDir()
	b, err := broker.Open(t.Context(), broker.Options{Dir: dir, Listen: "127.0.0.1:0", MaxStore: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := eventlog.Provision(t.Context(), b.Conn(), b.JS(), eventlog.Layout{Replicas: 1, MaxBytes: 64 << 20, MaxAge: time.Hour, MaxObjects: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m := &nats.Msg{Subject: fmt.Sprintf("stix.v1.p.green.create.tool.%d", i%16), Header: nats.Header{eventlog.HeaderID: {"x"}}, Data: fmt.Appendf(nil, `{"n":%d}`, i)}
		if _, err := eventlog.Commit(t.Context(), b.Conn(), []*nats.Msg{m}); err != nil {
			t.Fatal(err)
		}
	}
	st, err := b.JS().Stream(t.Context(), eventlog.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{uint64(n) / 2, uint64(n)} {
		if err := st.SecureDeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.State.Put(t.Context(), "pos.x.0", uint64(n)); err != nil {
		t.Fatal(err)
	}
	if blob, err = s.Blobs.Put(t.Context(), stix.Red, bytes.Repeat([]byte("large "), 1<<20)); err != nil {
		t.Fatal(err)
	}
	return dir, blob
}

func options(t *testing.T, dir, url string, replicas int) migrate.Options {
	return migrate.Options{Dir: dir, Target: broker.Options{URL: url, Replicas: replicas, Log: slog.New(slog.DiscardHandler)}, MaxBytes: 1 << 30, All: true,
		Say: func(s string) { t.Log(s) }, Log: slog.New(slog.DiscardHandler)}
}

func reach(t *testing.T, url string, replicas int) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), broker.Options{URL: url, Replicas: replicas})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestMoveRefusesATargetThatWillNotDo(t *testing.T) {
	single := testpeer.Cluster(t, 1)
	dir, _ := filled(t, 10)
	move := func(o migrate.Options, want string) {
		t.Helper()
		if _, err := migrate.Move(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
		if to, _, err := broker.Moved(dir); to != "" || err != nil {
			t.Fatalf("the store is marked as moved to %s, %v", to, err)
		}
	}
	move(options(t, dir, single.URL(), 3), "use --replicas 1")
	move(options(t, dir, "nats://127.0.0.1:1", 1), "127.0.0.1:1")
	small := options(t, dir, single.URL(), 1)
	small.MaxBytes = 10
	move(small, "set nats.max_bytes")
	move(options(t, t.TempDir(), single.URL(), 1), "there is no event log in")
	b := reach(t, single.URL(), 1)
	if _, err := b.JS().CreateStream(t.Context(), jetstream.StreamConfig{Name: eventlog.StreamLetters, Subjects: []string{"dlq.>"}}); err != nil {
		t.Fatal(err)
	}
	move(options(t, dir, single.URL(), 1), "has a stream STIX_DLQ with 0 messages")
	if _, err := b.JS().Stream(t.Context(), eventlog.StreamLetters); err != nil {
		t.Errorf("what was there before is gone: %v", err)
	}
}

func TestMoveTakesGapsStateAndPayloadsAndMayBeFinishedLater(t *testing.T) {
	single := testpeer.Cluster(t, 1)
	dir, blob := filled(t, 100)
	if _, err := migrate.Move(t.Context(), options(t, dir, single.URL(), 1)); err != nil {
		t.Fatal(err)
	}
	b := reach(t, single.URL(), 1)
	s, err := eventlog.Open(t.Context(), b.Conn(), b.JS())
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Log.Info(t.Context())
	if err != nil || info.State.LastSeq != 100 || info.State.Msgs != 98 {
		t.Errorf("log of %d messages up to %d, %v; want 98 up to 100", info.State.Msgs, info.State.LastSeq, err)
	}
	var floor uint64
	if _, err := s.State.Get(t.Context(), "pos.x.0", &floor); err != nil || floor != 100 {
		t.Errorf("position %d, %v", floor, err)
	}
	if data, err := s.Blobs.Get(t.Context(), blob); err != nil || len(data) != 6<<20 {
		t.Errorf("payload of %d bytes, %v", len(data), err)
	}

	// As if it had been killed when only the marks were left to remove.
	_, id, err := broker.Moved(dir)
	if err != nil || id == "" {
		t.Fatalf("moved by %q, %v", id, err)
	}
	c := info.Config
	c.Metadata[eventlog.MetaIncomplete] = "stixbridge migrate of event log " + id
	if _, err := b.JS().UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := eventlog.Open(t.Context(), b.Conn(), b.JS()); err == nil || !strings.Contains(err.Error(), "is incomplete") {
		t.Errorf("a marked log is opened: %v", err)
	}
	r, err := migrate.Move(t.Context(), options(t, dir, single.URL(), 1))
	if err != nil || !r.Already {
		t.Errorf("the second move: %+v, %v", r, err)
	}
	if _, err := eventlog.Open(t.Context(), b.Conn(), b.JS()); err != nil {
		t.Errorf("after it was finished: %v", err)
	}
}
