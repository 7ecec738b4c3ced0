package migrate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

const restoring = "stixbridge restore"

// PutBack restores a backup into a server that holds no event log. It may be interrupted and run again: until Release nothing runs on what
// is there. maxBytes is the limit of the event log; 0: as it was.
func PutBack(ctx context.Context, b *broker.Broker, dir string, maxBytes int64, say func(string)) (Manifest, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return m, err
	}
	if err := vacant(ctx, b); err != nil {
		return m, err
	}
	for _, s := range m.Streams {
		c := s.Config
		c.Replicas = b.Replicas()
		if s.Name == eventlog.StreamEvents && maxBytes > 0 {
			c.MaxBytes = maxBytes
		}
		c.Metadata = map[string]string{eventlog.MetaIncomplete: restoring}
		for k, v := range s.Config.Metadata {
			if !strings.HasPrefix(k, "_nats.") {
				c.Metadata[k] = v
			}
		}
		if err := putBack(ctx, b, filepath.Join(dir, s.File), s, c); err != nil {
			return m, err
		}
		say(fmt.Sprintf("%-28s %d messages, last %d", s.Name, s.Messages, s.LastSeq))
	}
	return m, nil
}

// Release lets bridges run on what PutBack restored.
func Release(ctx context.Context, b *broker.Broker) error { return release(ctx, b.JS()) }

func putBack(ctx context.Context, b *broker.Broker, path string, s Saved, c jetstream.StreamConfig) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	state := jetstream.StreamState{Msgs: s.Messages, FirstSeq: s.FirstSeq, LastSeq: s.LastSeq}
	info, err := Restore(ctx, b.Conn(), c, state, f)
	if err != nil {
		return hint(err)
	}
	if info.State.LastSeq != s.LastSeq {
		return fmt.Errorf("stream %s: %w: it ends at %d, the backup at %d", s.Name, ErrDiffers, info.State.LastSeq, s.LastSeq)
	}
	return settle(ctx, side{b.Conn(), b.JS(), s.Name}, []*nats.Conn{b.Conn()})
}

// vacant refuses a server with an event log, and removes what an interrupted restore left.
func vacant(ctx context.Context, b *broker.Broker) error {
	if err := restores(b); err != nil {
		return err
	}
	names, err := assets(ctx, b.JS())
	if err != nil {
		return err
	}
	var taken error
	unfinished := false
	for _, name := range names {
		s, err := b.JS().Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		switch by := s.CachedInfo().Config.Metadata[eventlog.MetaIncomplete]; {
		case by != restoring:
			taken = fmt.Errorf("there is a stream %s with %d messages already; a backup is restored as a whole and into an empty store: move that one away first", name, s.CachedInfo().State.Msgs)
		case name == eventlog.StreamEvents:
			unfinished = true // its mark goes last: whatever has none any more is of the same restore
		}
	}
	if taken != nil && !unfinished {
		return taken
	}
	for _, name := range names {
		if err := b.JS().DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("remove what an interrupted restore left: stream %s: %w", name, err)
		}
	}
	return nil
}
