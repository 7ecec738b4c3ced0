// Package broker opens the NATS JetStream server that holds the event log: embedded in this process, or an external one.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// MaxPayload is the largest message the bridge publishes or reads, in bytes; objects above 4 MiB go to the object store.
const MaxPayload = 8 << 20

// Options say where the event log lives. Exactly one of Dir-embedded (URL empty) or URL is in effect; Dir is used in both
// modes for the bridge's own small files.
type Options struct {
	Dir       string
	Listen    string // host:port of the embedded server; port 0 picks a free one
	MaxStore  int64  // bytes the embedded JetStream may use
	Producers []string
	Lazy      bool // do not wait for the disk at each write: for a restore, which begins anew after a crash

	URL      string
	Context  string // NATS context name
	Creds    string
	NKey     string
	User     string
	Password string
	Token    string
	TLS      *tls.Config
	Replicas int

	Log *slog.Logger
}

// Broker is an open connection to the server of the event log, and the server itself when it is embedded.
type Broker struct {
	opt    Options
	server *server.Server // nil when external
	dir    string         // of the embedded server
	unlock func()
	door   *door

	accounts sync.Mutex // held while the outside accounts change
	cred     credentials
	nc       *nats.Conn
	js       jetstream.JetStream
	conns    []*nats.Conn
	url      string
}

// Open starts the embedded server or connects to the external one. It blocks until JetStream answers, at most 30 s or ctx.
func Open(ctx context.Context, opt Options) (*Broker, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	b := &Broker{opt: opt}
	var err error
	if opt.URL == "" && opt.Context == "" {
		err = b.embed()
	} else {
		err = b.reach()
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if b.nc, err = b.Connect("bridge", ""); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if b.js, err = JetStream(b.nc); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if err = b.check(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// JetStream returns a client with the bridge's constants.
func JetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	return jetstream.New(nc, jetstream.WithPublishAsyncTimeout(10*time.Second), jetstream.WithDefaultTimeout(5*time.Second))
}

// Embedded reports whether the server runs in this process.
func (b *Broker) Embedded() bool { return b.server != nil }

// URL is the address that clients use, without credentials.
func (b *Broker) URL() string { return b.url }

// Conn is the bridge's own connection.
func (b *Broker) Conn() *nats.Conn { return b.nc }

// JS is the bridge's own JetStream client.
func (b *Broker) JS() jetstream.JetStream { return b.js }

// Replicas is how many copies each stream has.
func (b *Broker) Replicas() int {
	if b.server != nil {
		return 1
	}
	if b.opt.Replicas > 0 {
		return b.opt.Replicas
	}
	return 3
}

// Connect makes a further connection. With a producer's name, the embedded server limits what it may publish to that
// producer's own subjects; an external server's limits are its operator's business.
func (b *Broker) Connect(component, producer string) (*nats.Conn, error) {
	host, _ := os.Hostname()
	opts := []nats.Option{
		nats.Name(fmt.Sprintf("stixbridge/%s/%s-%d", component, host, os.Getpid())),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // unsent data must fail, not hide
		nats.ReconnectWait(250 * time.Millisecond),
		nats.CustomReconnectDelay(func(n int) time.Duration { return min(time.Duration(n)*250*time.Millisecond, 5*time.Second) }),
		nats.Timeout(5 * time.Second),
		nats.PingInterval(20 * time.Second),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrSlowConsumer) {
				return // a reader that waits for its target; what is dropped is asked for again
			}
			if s != nil {
				b.opt.Log.Warn("nats subscription", "subject", s.Subject, "error", err)
				return
			}
			b.opt.Log.Warn("nats connection", "component", component, "error", err)
		}),
	}
	var url string
	if b.server != nil {
		user, pass := b.cred.Bridge.User, b.cred.Bridge.Password
		if producer != "" {
			user, pass = producerUser(producer), b.cred.producer
		}
		opts = append(opts, nats.InProcessServer(b.server), nats.UserInfo(user, pass))
	} else {
		more, u, err := b.external()
		if err != nil {
			return nil, err
		}
		opts, url = append(opts, more...), u
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to the event log's server %s: %w", b.url, err)
	}
	b.conns = append(b.conns, nc)
	return nc, nil
}

// check waits for JetStream and holds the server's limits against what the bridge needs.
func (b *Broker) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var info *jetstream.AccountInfo
	for {
		var err error
		try, stop := context.WithTimeout(ctx, 3*time.Second)
		info, err = b.js.AccountInfo(try) // a request during an election is dropped, not refused: short timeout, try again
		stop()
		if err == nil {
			break
		}
		if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
			return fmt.Errorf("server %s has no JetStream for this account; enable it (jetstream: enabled) or use another nats.url", b.url)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("server %s: JetStream did not answer within 30 s: %w", b.url, err)
		}
	}
	if have := b.nc.MaxPayload(); have < MaxPayload {
		return fmt.Errorf("server %s: max_payload is %d, the bridge needs %d; set max_payload: 8MB in its configuration", b.url, have, MaxPayload)
	}
	if v := b.nc.ConnectedServerVersion(); !atLeast(v, 2, 14) {
		return fmt.Errorf("server %s is version %s; atomic batches and consumer features of 2.14 or newer are needed", b.url, v)
	}
	if n := info.Limits.MaxStreams; n > 0 && n-info.Streams < 4 && info.Streams == 0 {
		return fmt.Errorf("server %s: the account may hold %d streams, the bridge needs at least 4", b.url, n)
	}
	return nil
}

func atLeast(version string, major, minor int) bool {
	var a, c int
	if _, err := fmt.Sscanf(version, "%d.%d", &a, &c); err != nil {
		return true // a development build
	}
	return a > major || (a == major && c >= minor)
}

// Close ends all connections and the embedded server, and gives the directory free. It blocks until the store is closed.
func (b *Broker) Close() error {
	for _, nc := range b.conns {
		nc.Close()
	}
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
	if b.unlock != nil {
		b.unlock()
		b.unlock = nil
	}
	return nil
}
