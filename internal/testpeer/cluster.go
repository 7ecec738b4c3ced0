package testpeer

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Servers are nats-server processes with JetStream on loopback: a cluster, or a single stand-alone server.
type Servers struct {
	URLs       []string // nats://127.0.0.1:port, one for each server; stable over Kill and Start
	Monitoring []string // http://127.0.0.1:port, one for each server

	t     testing.TB
	bin   string
	dirs  []string
	procs []*process // nil: not running
}

// Cluster starts n nats-server processes, routed to each other when n > 1, and waits until JetStream is ready on all. Every
// write is on the disk before it is acknowledged (sync_interval always) and messages may have 8 MiB. config is added to
// each server's configuration (authorization, say). The servers end with the test.
func Cluster(t testing.TB, n int, config ...string) *Servers {
	t.Helper()
	c := &Servers{t: t, bin: NATSServer(t)}
	ports := Ports(t, 3*n)
	var routes []string
	for i := range n {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[3*i+2]))
	}
	base := t.TempDir()
	for i := range n {
		dir := filepath.Join(base, fmt.Sprintf("n%d", i))
		client, monitoring, route := ports[3*i], ports[3*i+1], ports[3*i+2]
		var b strings.Builder
		fmt.Fprintf(&b, "server_name: n%d\nlisten: 127.0.0.1:%d\nhttp: 127.0.0.1:%d\nmax_payload: 8MB\n", i, client, monitoring)
		fmt.Fprintf(&b, "jetstream { store_dir: %q, sync_interval: always }\n", filepath.Join(dir, "store"))
		if n > 1 {
			fmt.Fprintf(&b, "cluster { name: test, listen: 127.0.0.1:%d, routes: [%s] }\n", route, strings.Join(routes, ", "))
		}
		for _, extra := range config {
			b.WriteString(extra + "\n")
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "nats.conf"), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		c.dirs = append(c.dirs, dir)
		c.URLs = append(c.URLs, fmt.Sprintf("nats://127.0.0.1:%d", client))
		c.Monitoring = append(c.Monitoring, fmt.Sprintf("http://127.0.0.1:%d", monitoring))
	}
	c.procs = make([]*process, n)
	t.Cleanup(c.stopAll)
	for i := range n {
		c.launch(i)
	}
	for i := range n {
		c.Ready(i)
	}
	return c
}

// URL is the address of all servers, comma separated.
func (c *Servers) URL() string { return strings.Join(c.URLs, ",") }

// Kill ends server i with SIGKILL. Its store stays.
func (c *Servers) Kill(i int) {
	c.t.Helper()
	if c.procs[i] == nil {
		c.t.Fatalf("server %d is not running", i)
	}
	if err := c.procs[i].kill(); err != nil {
		c.t.Fatalf("kill server %d: %v", i, err)
	}
	c.procs[i] = nil
}

// Stop ends server i in good order, as SIGTERM does.
func (c *Servers) Stop(i int) {
	c.t.Helper()
	if c.procs[i] == nil {
		c.t.Fatalf("server %d is not running", i)
	}
	c.procs[i].stop()
	c.procs[i] = nil
}

// Start starts server i again on its store and addresses and waits until JetStream is ready there.
func (c *Servers) Start(i int) {
	c.t.Helper()
	if c.procs[i] != nil {
		c.t.Fatalf("server %d is running", i)
	}
	c.launch(i)
	c.Ready(i)
}

// Log is what server i printed so far.
func (c *Servers) Log(i int) string {
	text, err := os.ReadFile(filepath.Join(c.dirs[i], "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (c *Servers) launch(i int) {
	c.t.Helper()
	p, err := start(command{dir: c.dirs[i], args: []string{c.bin, "-c", filepath.Join(c.dirs[i], "nats.conf")}})
	if err != nil {
		c.t.Fatalf("start server %d: %v", i, err)
	}
	c.procs[i] = p
}

// Ready waits until JetStream on server i serves: a cluster has a leader and the server is caught up with it.
func (c *Servers) Ready(i int) {
	c.t.Helper()
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	err := c.procs[i].await(time.Minute, func() error {
		resp, err := client.Get(c.Monitoring[i] + "/healthz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", resp.Status, text)
		}
		return nil
	})
	if err != nil {
		c.t.Fatalf("server %d: %v", i, err)
	}
}

func (c *Servers) stopAll() {
	for i, p := range c.procs {
		if p != nil {
			p.stop()
			c.procs[i] = nil
		}
	}
}
