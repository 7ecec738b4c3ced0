package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// errTaken says that the target is not ours to write to.
var errTaken = errors.New("the target is not empty")

// What a server answers when it cannot hold what is asked.
const (
	codeNoPeers        = 10005
	codeStorage        = 10047
	codeStorageAccount = 10002
	codeReplicas       = 10074
	codeStreams        = 10027
)

// fatal reports whether trying again cannot help.
func fatal(err error) bool {
	for _, c := range []jetstream.ErrorCode{codeNoPeers, codeStorage, codeStorageAccount, codeReplicas, codeStreams} {
		if isCode(err, c) {
			return true
		}
	}
	return false
}

// hint adds the remedy to what a server answers.
func hint(err error) error {
	switch {
	case isCode(err, codeNoPeers):
		return fmt.Errorf("%w; the cluster has too few servers with JetStream for this many replicas, or too little disk: see --replicas and nats.max_bytes", err)
	case isCode(err, codeStorage), isCode(err, codeStorageAccount):
		return fmt.Errorf("%w; set nats.max_bytes to what the account may store there", err)
	case isCode(err, codeStreams):
		return fmt.Errorf("%w; the account needs room for the streams of the event log (4, one more for each TLP with large payloads) and 2 during the move", err)
	}
	return err
}

// openTarget connects to the target, and to each of its servers that was named.
func (m *mover) openTarget(ctx context.Context) error {
	open := func(o broker.Options) (*broker.Broker, error) {
		b, err := broker.Open(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("target: %w", err)
		}
		m.closers = append(m.closers, func() { _ = b.Close() })
		if err := restores(b); err != nil {
			return nil, fmt.Errorf("target: %w", err)
		}
		return b, nil
	}
	o := m.opt.Target
	o.Dir = "" // it has nothing on this disk
	var err error
	if m.target, err = open(o); err != nil {
		return err
	}
	if m.target.Replicas() > 1 && m.target.Conn().ConnectedClusterName() == "" {
		return fmt.Errorf("target: %s is a single server and keeps one copy; use --replicas 1, or name a cluster", m.target.URL())
	}
	urls := strings.Split(o.URL, ",")
	for _, u := range urls {
		if o.URL == "" || len(urls) == 1 {
			m.servers = append(m.servers, m.target.Conn())
			break
		}
		one := o
		one.URL = strings.TrimSpace(u)
		b, err := open(one)
		if err != nil {
			return err
		}
		m.servers = append(m.servers, b.Conn())
	}
	return nil
}

// restores refuses a server that does not know the archive's format.
func restores(b *broker.Broker) error {
	v := b.Conn().ConnectedServerVersion()
	var major, minor int
	if _, err := fmt.Sscanf(v, "%d.%d", &major, &minor); err == nil && (major < 2 || major == 2 && minor < 15) {
		return fmt.Errorf("server %s is version %s; to restore an archive it must be 2.15 or newer", b.URL(), v)
	}
	return nil
}

func (m *mover) mark() string { return "stixbridge migrate of event log " + m.id }

// clear removes what an earlier attempt of this move left in the target, and refuses a target with anything else. A restore that was killed a
// moment ago keeps the cluster from listing its streams; that goes by.
func (m *mover) clear(ctx context.Context) error {
	for began := time.Now(); ; {
		err := m.sweep(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil || time.Since(began) > 6*silence {
			return err
		}
	}
}

func (m *mover) sweep(ctx context.Context) error {
	l := m.target.JS().ListStreams(ctx)
	var leftovers []string
	for i := range l.Info() {
		name := i.Config.Name
		if !belongs(name) && !belongs(strings.TrimSuffix(name, "_TAIL")) {
			continue
		}
		switch by := i.Config.Metadata[eventlog.MetaIncomplete]; by {
		case m.mark():
			leftovers = append(leftovers, name)
		case "":
			return fmt.Errorf("%w: %s has a stream %s with %d messages; use another account or cluster, or delete its streams (nats stream rm %s …) if they are not needed",
				errTaken, m.target.URL(), name, i.State.Msgs, name)
		default:
			return fmt.Errorf("%w: stream %s at %s was left by another one (%s); finish that, or delete its streams", errTaken, name, m.target.URL(), by)
		}
	}
	if err := l.Err(); err != nil {
		return fmt.Errorf("target: list of streams: %w", err)
	}
	for _, name := range leftovers {
		if err := m.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// drop removes a stream from the target, if it is there.
func (m *mover) drop(ctx context.Context, name string) error {
	if err := m.target.JS().DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("target: remove stream %s: %w", name, err)
	}
	delete(m.before, name)
	return nil
}

// resume finishes a move that had copied everything, and was interrupted before the target was released.
func (m *mover) resume(ctx context.Context, to, id string) error {
	m.id = id
	info, err := m.to(eventlog.StreamEvents).info(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("the event log of %s was moved to %s before, not to %s", m.opt.Dir, to, m.target.URL())
	}
	if err != nil {
		return err
	}
	if by, marked := info.Config.Metadata[eventlog.MetaIncomplete]; marked && by != m.mark() {
		return fmt.Errorf("%w: %s", errTaken, by)
	}
	return release(ctx, m.target.JS())
}
