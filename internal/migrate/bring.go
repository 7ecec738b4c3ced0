package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// tail is the name of the stream that carries what came into another after its copy.
func tail(name string) string { return name + "_TAIL" }

func (m *mover) from(name string) side { return side{m.source.Conn(), m.source.JS(), name} }
func (m *mover) to(name string) side   { return side{m.target.Conn(), m.target.JS(), name} }

// config is a source's configuration as the target gets it, marked as incomplete.
func (m *mover) config(have jetstream.StreamConfig) jetstream.StreamConfig {
	c := have
	c.Replicas = m.target.Replicas()
	if c.Name == eventlog.StreamEvents && m.opt.MaxBytes > 0 {
		c.MaxBytes = m.opt.MaxBytes
	}
	c.Metadata = map[string]string{eventlog.MetaIncomplete: m.mark()}
	for k, v := range have.Metadata {
		if !strings.HasPrefix(k, "_nats.") {
			c.Metadata[k] = v
		}
	}
	return c
}

// bulk copies a stream that is being written to. The copy mirrors a stream that does not exist yet.
func (m *mover) bulk(ctx context.Context, name string) error {
	info, err := m.from(name).info(ctx)
	if err != nil {
		return err
	}
	c := m.config(info.Config)
	c.Subjects, c.Mirror = nil, &jetstream.StreamSource{Name: tail(name)}
	c.AllowAtomicPublish, c.MaxMsgs = false, -1
	last, err := m.transfer(ctx, name, 0, c)
	if err != nil {
		return err
	}
	if err := settle(ctx, m.to(name), m.servers); err != nil {
		return err
	}
	m.before[name], m.counts[name] = last, info.State.Msgs
	return nil
}

// bring makes a stream at the target what it is at the source, which nobody writes to any more.
func (m *mover) bring(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	source, err := m.from(name).info(ctx)
	if err != nil {
		return nil, err
	}
	if last, ok := m.before[name]; ok {
		err := m.complete(ctx, name, last, source)
		if err == nil {
			return source, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		m.say("%v; it is copied whole once more", err) // something was erased meanwhile, or retention took more than was new
		for _, n := range []string{name, tail(name)} {
			if err := m.drop(ctx, n); err != nil {
				return nil, err
			}
		}
		m.counts[name] = 0
	}
	if _, err := m.transfer(ctx, name, 0, m.config(source.Config)); err != nil {
		return nil, err
	}
	if err := settle(ctx, m.to(name), m.servers); err != nil {
		return nil, err
	}
	return source, compare(ctx, m.from(name), m.to(name), m.opt.All)
}

// complete brings to an earlier copy what came since, and makes it a stream of its own.
func (m *mover) complete(ctx context.Context, name string, last uint64, source *jetstream.StreamInfo) error {
	end, err := lastMessage(ctx, m.source.Conn(), name)
	if err != nil {
		return err
	}
	if end > last {
		c := jetstream.StreamConfig{Name: tail(name), Description: "stixbridge migrate: what came into " + name + " during the move",
			Subjects: []string{"stixbridge.migrate." + name}, Storage: jetstream.FileStorage, Replicas: m.target.Replicas(),
			AllowMsgTTL: source.Config.AllowMsgTTL, Metadata: map[string]string{eventlog.MetaIncomplete: m.mark()}}
		if _, err := m.transfer(ctx, name, last+1, c); err != nil {
			return err
		}
		if err := m.mirrored(ctx, name, end); err != nil {
			return err
		}
	}
	if _, err := m.target.JS().UpdateStream(ctx, m.config(source.Config)); err != nil {
		return fmt.Errorf("make stream %s of its own: %w", name, err)
	}
	if err := m.drop(ctx, tail(name)); err != nil {
		return err
	}
	if err := settle(ctx, m.to(name), m.servers); err != nil {
		return err
	}
	return compare(ctx, m.from(name), m.to(name), m.opt.All)
}

// mirrored waits until the copy has fetched its tail. A new leader looks for the mirrored stream at once, the present one after minutes.
func (m *mover) mirrored(ctx context.Context, name string, end uint64) error {
	var asked time.Time
	for begun := time.Now(); ; {
		info, err := m.to(name).info(ctx)
		if err == nil && info.State.LastSeq >= end {
			return nil
		}
		if time.Since(begun) > patience {
			return fmt.Errorf("stream %s: its tail has not arrived after %v", name, patience)
		}
		if err == nil && info.Cluster != nil && len(info.Cluster.Replicas) > 0 && time.Since(asked) > 20*time.Second {
			asked = time.Now()
			err := call(ctx, m.target.Conn(), "$JS.API.STREAM.LEADER.STEPDOWN."+name,
				map[string]any{"placement": map[string]string{"preferred": info.Cluster.Replicas[0].Name}}, &struct{}{})
			if err != nil {
				m.opt.Log.Warn("change of a stream's leader", "stream", name, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// transfer restores a stream's messages from a sequence on under a configuration, and returns the last sequence.
func (m *mover) transfer(ctx context.Context, name string, from uint64, c jetstream.StreamConfig) (uint64, error) {
	_, last, err := pipe(ctx, m.source.Conn(), m.source.JS(), name, from, func(r io.Reader, state jetstream.StreamState) error {
		_, err := Restore(ctx, m.target.Conn(), c, state, r)
		return hint(err)
	}, m.progress(name))
	return last, err
}

// pipe hands a stream's archive to a reader.
func pipe(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, name string, from uint64, take func(io.Reader, jetstream.StreamState) error, progress func(done, total uint64)) (state jetstream.StreamState, last uint64, err error) {
	s, err := js.Stream(ctx, name)
	if err != nil {
		return state, 0, fmt.Errorf("stream %s: %w", name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		var err error
		state, _, last, err = Archive(ctx, nc, s, from, w, progress)
		w.CloseWithError(err)
		written <- err
	}()
	head := s.CachedInfo().State
	head.Deleted, head.Subjects = nil, nil
	err = take(r, head)
	r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	if err != nil {
		cancel()
	}
	werr := <-written
	if err == nil {
		err = werr
	}
	return state, last, err
}

func (m *mover) progress(name string) func(done, total uint64) {
	said := time.Now()
	return func(done, total uint64) {
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			m.say("%s: %d of %d messages", name, done, total)
		}
	}
}

// release takes the marks away; from then on a bridge may run there.
func release(ctx context.Context, js jetstream.JetStream) error {
	names, err := assets(ctx, js)
	if err != nil {
		return err
	}
	for _, name := range names { // the log last: it is what everybody asks first
		s, err := js.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		c := s.CachedInfo().Config
		if _, marked := c.Metadata[eventlog.MetaIncomplete]; !marked {
			continue
		}
		c.Metadata = maps.Clone(c.Metadata)
		delete(c.Metadata, eventlog.MetaIncomplete)
		if _, err := js.UpdateStream(ctx, c); err != nil {
			return fmt.Errorf("release stream %s: %w; everything is copied, run the command again to finish", name, err)
		}
	}
	return nil
}
