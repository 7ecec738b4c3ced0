package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const modeFile = "MODE"
const standalone = "standalone\n"

// embed locks the directory and starts a server of our own in it.
func (b *Broker) embed() error {
	dir, err := filepath.Abs(b.opt.Dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("nats.dir: %w", err)
	}
	if b.unlock, err = lock(dir); err != nil {
		return err
	}
	if err := mark(dir); err != nil {
		return err
	}
	if b.cred, err = loadCredentials(dir); err != nil {
		return err
	}
	host, port, err := splitListen(b.opt.Listen)
	if err != nil {
		return err
	}
	if port > 0 { // the server would retry and die on its own; a busy port is an error of ours
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return fmt.Errorf("nats.listen %s: %w; stop what uses it, or set another port", b.opt.Listen, err)
		}
		l.Close()
	}
	b.dir, b.door = dir, newDoor(b.users())
	log := &serverLog{log: b.opt.Log}
	s, err := server.NewServer(&server.Options{
		ServerName: "stixbridge", Host: host, Port: port,
		JetStream: true, StoreDir: dir, SyncAlways: !b.opt.Lazy, JetStreamMaxStore: b.opt.MaxStore, JetStreamMaxMemory: 64 << 20,
		MaxPayload: MaxPayload, NoSigs: true, NoLog: true, NoSystemAccount: false,
		CustomClientAuthentication: b.door, AuthTimeout: 2 * opening.Seconds(),
	})
	if err != nil {
		return fmt.Errorf("embedded server: %w", err)
	}
	s.SetLogger(log, false, false)
	s.Start()
	if !s.ReadyForConnections(30*time.Second) || !s.JetStreamEnabled() {
		err := fmt.Errorf("embedded server in %s did not start", dir)
		if f := log.fatal(); f != "" {
			err = fmt.Errorf("embedded server in %s: %s", dir, f)
		}
		s.Shutdown()
		s.WaitForShutdown()
		return err
	}
	b.server = s
	b.url = s.ClientURL()
	// Not before: with further accounts at the start, the server gives the bridge's own one no JetStream.
	if err := b.loadAccounts(); err != nil {
		return err
	}
	return writeContext(dir, b.url, b.cred.Operator)
}

// mark refuses a store that another kind of server made: a standalone store opened with routes is deleted by the server.
func mark(dir string) error {
	path := filepath.Join(dir, modeFile)
	have, err := os.ReadFile(path)
	switch {
	case err == nil && string(have) == standalone:
		return nil
	case err == nil && strings.HasPrefix(string(have), movedTo):
		return fmt.Errorf("the event log of %s was %s; set nats.url to that, what is here is out of date", dir, strings.TrimSpace(string(have)))
	case err == nil:
		return fmt.Errorf("%s says that this store belongs to mode %q; an embedded server would destroy it; use nats.url, or another nats.dir", path, strings.TrimSpace(string(have)))
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "jetstream")); err == nil {
		return fmt.Errorf("%s holds a JetStream store that stixbridge did not make (no %s file); use another nats.dir", dir, modeFile)
	}
	return writeFile(path, []byte(standalone))
}

func splitListen(listen string) (string, int, error) {
	if listen == "" {
		listen = "127.0.0.1:4222"
	}
	host, p, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("nats.listen %q: want host:port", listen)
	}
	port, err := strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("nats.listen %q: port %q is no port number", listen, p)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// serverLog passes the server's warnings on and keeps its last fatal word: a JetStream failure is logged there, not returned.
type serverLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	last string
}

func (l *serverLog) fatal() string { l.mu.Lock(); defer l.mu.Unlock(); return l.last }

func (l *serverLog) keep(f string, v ...any) string {
	s := fmt.Sprintf(f, v...)
	l.mu.Lock()
	l.last = s
	l.mu.Unlock()
	return s
}

func (l *serverLog) Noticef(f string, v ...any) {}
func (l *serverLog) Debugf(f string, v ...any)  {}
func (l *serverLog) Tracef(f string, v ...any)  {}
func (l *serverLog) Warnf(f string, v ...any) {
	l.log.Warn("nats server", "text", fmt.Sprintf(f, v...))
}
func (l *serverLog) Errorf(f string, v ...any) { l.log.Error("nats server", "text", l.keep(f, v...)) }
func (l *serverLog) Fatalf(f string, v ...any) { l.log.Error("nats server", "text", l.keep(f, v...)) }
