package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// built is the bridge's binary; it is built once.
func (b *bench) built() (string, error) {
	if b.binary != "" {
		return b.binary, nil
	}
	path := filepath.Join(b.tmp, "stixbridge")
	out, err := exec.Command("go", "build", "-o", path, "./cmd/stixbridge").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build ./cmd/stixbridge: %w\n%s", err, out)
	}
	b.binary = path
	return path, nil
}

// instance is the real program under a configuration, with a look into its log.
type instance struct {
	*child
	nc *nats.Conn
	js jetstream.JetStream
}

// launch starts the program on an event log of its own. Without a server's address it embeds one.
func (b *bench) launch(ctx context.Context, dir, server, config string, args ...string) (*instance, error) {
	path, err := b.built()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	at := fmt.Sprintf("dir: %q, listen: \"127.0.0.1:0\"", dir)
	if server != "" {
		at = fmt.Sprintf("dir: %q, url: %q, replicas: 1", dir, server)
	}
	file := filepath.Join(dir, "stixbridge.yaml")
	text := fmt.Sprintf("nats: { %s, max_bytes: 64GiB, max_objects: 20000000 }\nhttp: { listen: \"off\" }\n%s", at, config)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	c, err := b.spawn("bridge", nil, nil, append([]string{path, "run", "-c", file}, args...)...)
	if err != nil {
		return nil, err
	}
	k := &instance{child: c}
	if err := k.connect(ctx, dir, server); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

// connect waits until the event log is there.
func (k *instance) connect(ctx context.Context, dir, server string) error {
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if err := k.alive("the bridge"); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := k.try(ctx, dir, server)
		if err == nil {
			return nil
		}
		if time.Since(begun) > time.Minute {
			return fmt.Errorf("the bridge's event log: %w", err)
		}
	}
}

func (k *instance) try(ctx context.Context, dir, server string) (err error) {
	if k.nc == nil {
		login := struct{ URL, User, Password string }{URL: server}
		if server == "" {
			text, err := os.ReadFile(broker.ContextFile(dir))
			if err != nil {
				return err
			}
			if err := json.Unmarshal(text, &login); err != nil {
				return err
			}
		}
		if k.nc, err = nats.Connect(login.URL, nats.UserInfo(login.User, login.Password)); err != nil {
			return err
		}
		if k.js, err = jetstream.New(k.nc); err != nil {
			return err
		}
	}
	_, err = k.js.Stream(ctx, events)
	return err
}

// stored waits until the log holds n events; the last of them is then on the disk. It returns when it saw that.
func (k *instance) stored(ctx context.Context, n int) (time.Time, error) {
	s, err := k.js.Stream(ctx, events)
	if err != nil {
		return time.Time{}, err
	}
	have, since := uint64(0), time.Now()
	for {
		i, err := s.Info(ctx)
		now := time.Now()
		if err != nil {
			return now, errors.Join(err, k.alive("the bridge"))
		}
		switch {
		case i.State.LastSeq >= uint64(n):
			return now, nil
		case i.State.LastSeq > have:
			have, since = i.State.LastSeq, now
		case now.Sub(since) > 30*time.Second:
			return now, fmt.Errorf("the log holds %d events of %d and no longer grows\n%s", have, n, k.said())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// close ends it; a second call does nothing.
func (k *instance) close() {
	if k.nc != nil {
		k.nc.Close()
	}
	k.stop()
}

// server starts a nats-server of its own that syncs every write, and returns its address; why it cannot, where there is none.
func (b *bench) server() (c *child, address, skipped string, err error) {
	var path string
	var port int
	skipped, err = b.host.lend(func() { path, port = testpeer.NATSServer(&b.host), testpeer.Ports(&b.host, 1)[0] })
	if err != nil || skipped != "" {
		return nil, "", skipped, err
	}
	dir := b.newDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", "", err
	}
	file := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: 127.0.0.1:%d\nmax_payload: 8MB\njetstream { store_dir: %q, sync_interval: always, max_file_store: 200GB }\n", port, dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, "", "", err
	}
	c, err = b.spawn("nats-server", nil, nil, path, "-c", file)
	return c, fmt.Sprintf("nats://127.0.0.1:%d", port), "", err
}
