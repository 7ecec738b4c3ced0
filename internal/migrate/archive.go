package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats-server/v2/server/archive"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Archive writes the messages of a stream from a sequence on, in the format in which a server of 2.15 or newer restores them: sequence,
// time, subject, headers and payload of each, and gaps as gaps. The stream may be written to meanwhile.
//
// It is not the server's own snapshot, which leaves out what changes while it is made: in a stream that keeps the last message of each
// subject, a key that is written then would be missing. Here the reading goes on until nothing newer is left; a stream whose messages
// do not replace each other ends at the last message of the beginning.
//
// It returns what the stream held when the writing began, how many messages were written, and the sequence that it ends at.
func Archive(ctx context.Context, nc *nats.Conn, s jetstream.Stream, from uint64, w io.Writer, progress func(done, total uint64)) (before jetstream.StreamState, messages, last uint64, err error) {
	before, messages, last, err = writeArchive(ctx, nc, s, from, w, progress)
	if err != nil {
		err = fmt.Errorf("copy of stream %s: %w", s.CachedInfo().Config.Name, err)
	}
	return before, messages, last, err
}

func writeArchive(ctx context.Context, nc *nats.Conn, s jetstream.Stream, from uint64, w io.Writer, progress func(done, total uint64)) (state jetstream.StreamState, done, last uint64, err error) {
	info, err := s.Info(ctx)
	if err != nil {
		return state, 0, 0, err
	}
	state = info.State
	if from > state.FirstSeq {
		state.FirstSeq = from
		state.Msgs = min(state.Msgs, state.LastSeq+1-min(from, state.LastSeq+1))
		state.Bytes = 0 // the server counts what comes
	}
	compressed := s2.NewWriter(w)
	a := archive.NewWriter(compressed)
	head := state
	head.Consumers, head.Deleted, head.Subjects = 0, nil, nil
	text, err := json.Marshal(head)
	if err != nil {
		return state, 0, 0, err
	}
	entry := func(name string, at time.Time, seq uint64, header, data []byte) error {
		var ns int64
		if !at.IsZero() {
			ns = at.UnixNano()
		}
		if err := a.WriteHeader(&archive.Header{Name: name, Timestamp: ns, Sequence: seq, HeaderSize: int64(len(header)), PayloadSize: int64(len(data))}); err != nil {
			return err
		}
		for _, part := range [][]byte{header, data} {
			if _, err := a.Write(part); err != nil {
				return err
			}
		}
		return nil
	}
	if err := entry("state.json", time.Now(), 0, nil, text); err != nil {
		return state, 0, 0, err
	}
	last = state.FirstSeq - min(1, state.FirstSeq)
	err = read(ctx, nc, s, from, info.State.LastSeq, info.Config.MaxMsgsPerSubject > 0 || info.Config.AllowRollup, func(m message) error {
		last = m.seq
		if done++; progress != nil && done%1000 == 0 {
			progress(done, state.Msgs)
		}
		return entry(m.subject, m.at, m.seq, m.header, m.data)
	})
	if err == nil {
		err = entry("", time.Time{}, 0, nil, nil) // says that nothing was cut off
	}
	return state, done, max(last, state.LastSeq), errors.Join(err, a.Close(), compressed.Close())
}

type message struct {
	subject string
	seq     uint64
	at      time.Time
	header  []byte // as on the wire; nil without headers
	data    []byte
}

// read yields the messages from a sequence on up to another; with follow, on until nothing newer is left.
func read(ctx context.Context, nc *nats.Conn, s jetstream.Stream, from, to uint64, follow bool, yield func(message) error) error {
	end, err := lastMessage(ctx, nc, s.CachedInfo().Config.Name)
	if err != nil || end < from || end == 0 {
		return err
	}
	end = min(end, to)
	id := nuid.Next()
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{NamePrefix: "copy-" + id[len(id)-6:],
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1), InactiveThreshold: 30 * time.Second})
	if err != nil {
		return err
	}
	it, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(1000, 8<<20), jetstream.PullHeartbeat(5*time.Second))
	if err != nil {
		return err
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		seq := meta.Sequence.Stream
		if seq > to && !follow {
			return nil
		}
		if err := yield(message{m.Subject(), seq, meta.Timestamp, wire(m.Headers()), m.Data()}); err != nil {
			return err
		}
		if seq >= end && (!follow || meta.NumPending == 0) {
			return nil
		}
		if meta.NumPending == 0 { // the end was taken away meanwhile
			if end, err = lastMessage(ctx, nc, s.CachedInfo().Config.Name); err != nil || end <= seq {
				return err
			}
		}
	}
}

// lastMessage is the sequence of the last message that there is, by the word of the stream's leader; 0 when there is none.
func lastMessage(ctx context.Context, nc *nats.Conn, stream string) (uint64, error) {
	m, err := fetch(ctx, nc, stream, map[string]any{"last_by_subj": "*.>"}) // by ">" alone the server looks at the last sequence only, which may be a gap
	return m.seq, err
}

// passing are headers that told the server how to store a message, and mean nothing afterwards.
func passing(key string) bool {
	return strings.HasPrefix(key, "Nats-Expected-") || strings.HasPrefix(key, "Nats-Batch-")
}

// wire is the form of headers on the wire, in the order of their names.
func wire(h nats.Header) []byte {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(h)) {
		if passing(k) {
			continue
		}
		for _, v := range h[k] {
			b.WriteString(k + ": " + v + "\r\n")
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return []byte("NATS/1.0\r\n" + b.String() + "\r\n")
}
