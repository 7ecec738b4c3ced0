package eventlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/internal/testpeer"
	"github.com/stixbridge/stixbridge/stix"
)

// onBoth runs a test with the embedded server, and with a cluster of three servers that keeps three copies of everything.
func onBoth(t *testing.T, f func(t *testing.T, b *broker.Broker)) {
	t.Run("embedded", func(t *testing.T) {
		b, err := broker.Open(t.Context(), broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", MaxStore: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		f(t, b)
	})
	t.Run("cluster", func(t *testing.T) { f(t, connect(t, testpeer.Cluster(t, 3).URL(), 3)) })
}

func connect(t *testing.T, url string, replicas int) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), broker.Options{Dir: t.TempDir(), URL: url, Replicas: replicas})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func layout(replicas int) eventlog.Layout {
	return eventlog.Layout{Replicas: replicas, MaxBytes: 64 << 20, MaxAge: time.Hour, MaxObjects: 1000}
}

func provision(t *testing.T, b *broker.Broker, replicas int) *eventlog.Store {
	t.Helper()
	s, err := eventlog.Provision(t.Context(), b.Conn(), b.JS(), layout(replicas))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// publish stores n events of a producer as one commit.
func publish(t *testing.T, b *broker.Broker, producer string, n int) {
	t.Helper()
	var msgs []*nats.Msg
	for i := range n {
		id := fmt.Sprintf("tool--00000000-0000-4000-8000-%012d", i)
		subject := eventlog.Subject{Producer: producer, TLP: stix.Green, Op: bridge.Create, Type: "tool", Partition: eventlog.Partition(id, 16)}
		msgs = append(msgs, &nats.Msg{Subject: subject.String(), Header: nats.Header{eventlog.HeaderID: {id}, eventlog.HeaderMsgID: {producer + id}},
			Data: fmt.Appendf(nil, `{"type":"tool","id":%q,"name":"t"}`, id)})
	}
	for begun := time.Now(); ; { // a stream that was just made may have no leader yet
		_, err := eventlog.Commit(t.Context(), b.Conn(), msgs)
		if err == nil {
			return
		}
		if !errors.Is(err, eventlog.ErrBusy) || time.Since(begun) > time.Minute {
			t.Fatal(err)
		}
	}
}

// sequences lists the events of the log.
func sequences(t *testing.T, s *eventlog.Store) (all []uint64) {
	t.Helper()
	err := s.Log.Read(t.Context(), "test", 1, eventlog.ReadOptions{}, func(r eventlog.Record) error { all = append(all, r.Seq); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestStoreKeepsItsWordOnEitherServer(t *testing.T) {
	onBoth(t, func(t *testing.T, b *broker.Broker) {
		s := provision(t, b, b.Replicas())
		t.Run("what is committed is read at once", func(t *testing.T) {
			for i := range 20 {
				publish(t, b, fmt.Sprintf("p%d", i), 5)
				if got := sequences(t, s); len(got) != 5*(i+1) {
					t.Fatalf("%d events right after commit %d, want %d", len(got), i+1, 5*(i+1))
				}
			}
		})
		t.Run("a commit behind another writer's is fenced", func(t *testing.T) {
			m := &nats.Msg{Subject: "stix.v1.p0.green.create.tool.0", Header: nats.Header{}, Data: []byte(`{}`)}
			eventlog.Fence(m, "p0", 4)
			if _, err := eventlog.Commit(t.Context(), b.Conn(), []*nats.Msg{m}); !errors.Is(err, eventlog.ErrFenced) {
				t.Errorf("got %v, want ErrFenced", err)
			}
		})
		t.Run("the last event of a producer and of a time", func(t *testing.T) {
			r, ok, err := s.Log.LastOf(t.Context(), "p3")
			if err != nil || !ok || r.Seq != 20 {
				t.Errorf("last of p3: %d %v %v", r.Seq, ok, err)
			}
			_, last, err := s.Log.Bounds(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if seq, err := s.Log.SeqAt(t.Context(), time.Now().Add(time.Minute)); err != nil || seq != last {
				t.Errorf("before a minute from now: %d %v, want %d", seq, err, last)
			}
			if seq, err := s.Log.SeqAt(t.Context(), time.Now().Add(-time.Minute)); err != nil || seq != 0 {
				t.Errorf("before a minute ago: %d %v", seq, err)
			}
		})
		t.Run("writes of a batch are all or none", func(t *testing.T) {
			revs, err := s.State.SwapAll(t.Context(), []eventlog.Write{{Key: "pos.x.0", Value: 1}, {Key: "pos.x.1", Value: 1}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.State.SwapAll(t.Context(), []eventlog.Write{{Key: "pos.x.0", Value: 2, Revision: revs[0]}, {Key: "pos.x.1", Value: 2, Revision: revs[1] - 1}})
			if !errors.Is(err, eventlog.ErrChanged) {
				t.Errorf("got %v, want ErrChanged", err)
			}
			var n int
			if rev, err := s.State.Get(t.Context(), "pos.x.0", &n); err != nil || rev != revs[0] || n != 1 {
				t.Errorf("the first of a refused batch is %d at %d, %v", n, rev, err)
			}
		})
		t.Run("a lease has one holder", func(t *testing.T) {
			l, err := eventlog.Acquire(t.Context(), s.State, "producer.p", "test", false)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := eventlog.Acquire(t.Context(), s.State, "producer.p", "test", false); !errors.Is(err, eventlog.ErrHeld) {
				t.Errorf("a second one got %v, want ErrHeld", err)
			}
			l.Release()
			l, err = eventlog.Acquire(t.Context(), s.State, "producer.p", "test", false)
			if err != nil {
				t.Fatalf("after its release: %v", err)
			}
			l.Release()
		})
		t.Run("a letter is stored once and can be dropped", func(t *testing.T) {
			d := eventlog.Letter{Name: "soc", Side: "consumer", Class: eventlog.ClassPermanent, Reason: "422", EventSeq: 7, EventTime: time.Now(), Raw: []byte(`{}`)}
			for range 2 {
				if err := s.Letters.Store(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			var got []uint64
			scan := func() {
				got = nil
				if err := s.Letters.Scan(t.Context(), "soc", func(l eventlog.Letter) error { got = append(got, l.EventSeq); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			if scan(); !cmp.Equal(got, []uint64{7}) {
				t.Errorf("letters of events %v, want 7 once", got)
			}
			if err := s.Letters.Drop(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if scan(); len(got) > 0 {
				t.Errorf("letters %v after all were dropped", got)
			}
		})
		t.Run("a large payload is read as it was stored", func(t *testing.T) {
			want := bytes.Repeat([]byte("long "), 1<<20)
			ref, err := s.Blobs.Put(t.Context(), stix.Green, want)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.Blobs.Get(t.Context(), ref); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
			}
		})
		t.Run("what is erased is gone and accounted for", func(t *testing.T) {
			before := sequences(t, s)
			e, err := eventlog.Erase(t.Context(), s, "", "p5", "test")
			if err != nil || e.Events != 5 {
				t.Fatalf("erased %d events, %v; want 5", e.Events, err)
			}
			if got := sequences(t, s); len(got) != len(before)-5 {
				t.Errorf("%d events, want %d", len(got), len(before)-5)
			}
			if n, err := eventlog.ErasedSince(t.Context(), s.State, 1); err != nil || n != 5 {
				t.Errorf("%d accounted for, %v", n, err)
			}
		})
		t.Run("another number of partitions is refused with the reason", func(t *testing.T) {
			l := layout(b.Replicas())
			l.Partitions = 32
			_, err := eventlog.Provision(t.Context(), b.Conn(), b.JS(), l)
			if err == nil || !strings.Contains(err.Error(), "16 partitions, fixed when it was made") {
				t.Errorf("got %v", err)
			}
		})
	})
}

// While a store is being restored, nothing is made beside what is there already.
func TestAStoreThatIsBeingRestoredIsLeftAlone(t *testing.T) {
	b, err := broker.Open(t.Context(), broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", MaxStore: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	_, err = b.JS().CreateStream(t.Context(), jetstream.StreamConfig{Name: eventlog.StreamLatest, Subjects: []string{"latest.>"},
		Metadata: map[string]string{eventlog.MetaIncomplete: "stixbridge restore"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = eventlog.Provision(t.Context(), b.Conn(), b.JS(), layout(1))
	if err == nil || !strings.Contains(err.Error(), "stixbridge restore has not finished") {
		t.Errorf("got %v", err)
	}
	if _, err := b.JS().Stream(t.Context(), eventlog.StreamEvents); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("an event log was made: %v", err)
	}
}

// One copy of everything becomes three: events, latest objects, state, letters and large payloads.
func TestOneCopyBecomesThree(t *testing.T) {
	servers := testpeer.Cluster(t, 3)
	one := connect(t, servers.URL(), 1)
	s := provision(t, one, 1)
	publish(t, one, "p", 100)
	if _, err := s.Blobs.Put(t.Context(), stix.Green, []byte("payload")); err != nil {
		t.Fatal(err)
	}
	want := sequences(t, s)
	three := connect(t, servers.URL(), 3)
	s = provision(t, three, 3)
	names := three.JS().StreamNames(t.Context())
	for name := range names.Name() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			st, err := three.JS().Stream(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			if err = copies(st.CachedInfo(), 3); err == nil {
				break
			}
			select {
			case <-ctx.Done():
				t.Fatalf("stream %s: %v", name, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, sequences(t, s)); d != "" {
		t.Errorf("events (-with one copy +with three):\n%s", d)
	}
	servers.Kill(0)
	servers.Kill(1)
	servers.Start(0) // two of three are enough, whichever had it first
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, 2*time.Second) // what is asked while there is no leader is never answered
		_, last, err := s.Log.Bounds(try)
		stop()
		if err == nil && last == want[len(want)-1] {
			break
		} else if ctx.Err() != nil {
			t.Fatalf("with two of three servers: last %d, %v", last, err)
		}
	}
}

func copies(i *jetstream.StreamInfo, n int) error {
	if i.Config.Replicas != n || i.Cluster == nil || len(i.Cluster.Replicas) != n-1 {
		return fmt.Errorf("%d copies are configured", i.Config.Replicas)
	}
	for _, r := range i.Cluster.Replicas {
		if !r.Current {
			return fmt.Errorf("server %s is behind", r.Name)
		}
	}
	return nil
}
