package migrate_test

import (
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/migrate"
)

// A stream that keeps the last message of each subject is written to all the time while it is copied: no subject is missing in the copy.
func TestArchiveOfAStreamUnderLoadMissesNoSubject(t *testing.T) {
	const keys = 20_000
	embedded := func() *broker.Broker {
		b, err := broker.Open(t.Context(), broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", MaxStore: 1 << 30, Lazy: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		return b
	}
	source, target := embedded(), embedded()
	c := jetstream.StreamConfig{Name: "KV_x", Subjects: []string{"x.>"}, MaxMsgsPerSubject: 1, AllowDirect: true}
	s, err := source.JS().CreateStream(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var writes atomic.Uint64
	write := func() jetstream.PubAckFuture {
		n := writes.Add(1)
		f, err := source.JS().PublishAsync(fmt.Sprintf("x.%d", n%keys), fmt.Appendf(nil, "%0100d", n), jetstream.WithStallWait(time.Minute))
		if err != nil {
			t.Error(err)
		}
		return f
	}
	for range keys {
		write()
	}
	<-source.JS().PublishAsyncComplete()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-write().Ok(): // the pace of the server
			}
		}
	}()
	r, w := io.Pipe()
	before := writes.Load()
	var last uint64
	go func() {
		var err error
		_, _, last, err = migrate.Archive(t.Context(), source.Conn(), s, 0, w, nil)
		_ = w.CloseWithError(err)
	}()
	info, err := migrate.Restore(t.Context(), target.Conn(), c, jetstream.StreamState{}, r)
	if err != nil {
		t.Fatal(err)
	}
	close(end)
	<-ended
	t.Logf("%d keys were written %d times while they were copied", keys, writes.Load()-before)
	if info.State.NumSubjects != keys || info.State.Msgs != keys || info.State.LastSeq != last {
		t.Errorf("%d messages of %d subjects up to %d in the copy, want %d up to %d", info.State.Msgs, info.State.NumSubjects, info.State.LastSeq, keys, last)
	}
}
