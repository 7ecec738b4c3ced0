package chaos

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// node is one NATS server of the cluster. Its routes go through proxies, one for each direction, and so do its clients.
type node struct {
	i                      int
	name, dir, disk        string // disk: a small file system of its own for the store, where there may be one
	client, monitor, route int    // ports

	mu   sync.Mutex
	proc *process
}

// cluster is three of them.
type cluster struct {
	t      *testing.T
	bin    string
	nodes  []*node
	routes map[[2]int]*Proxy // from, to
	links  []*Proxy          // all proxies of clients, to close
}

// diskSize is that of a server's own file system.
const diskSize = 96 << 20

func newCluster(t *testing.T, dir string) *cluster {
	c := &cluster{t: t, bin: testpeer.NATSServer(t), routes: map[[2]int]*Proxy{}}
	ports := testpeer.Ports(t, 9)
	for i := range 3 {
		n := &node{i: i, name: fmt.Sprintf("n%d", i), dir: filepath.Join(dir, fmt.Sprintf("n%d", i)), client: ports[3*i], monitor: ports[3*i+1], route: ports[3*i+2]}
		n.disk = smallDisk(t, filepath.Join(n.dir, "disk"), diskSize)
		if err := os.MkdirAll(filepath.Join(n.dir, "disk"), 0o700); err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, n)
	}
	for i := range 3 {
		for j := range 3 {
			if i != j {
				c.routes[[2]int{i, j}] = c.proxy(c.nodes[j].route)
			}
		}
	}
	for i, n := range c.nodes {
		var routes []string
		for j := range 3 {
			if i != j {
				routes = append(routes, "nats://"+c.routes[[2]int{i, j}].Addr)
			}
		}
		// Servers tell others where to find them; these name a place where nobody is, so that no route goes past the proxies.
		conf := fmt.Sprintf("server_name: %s\nlisten: 127.0.0.1:%d\nhttp: 127.0.0.1:%d\nmax_payload: 8MB\nping_interval: \"5s\"\n"+
			"jetstream { store_dir: %q, sync_interval: always, max_file_store: 8GB, max_memory_store: 256MB }\n"+
			"cluster { name: lab, listen: 127.0.0.1:%d, advertise: \"127.0.0.1:1\", no_advertise: true, routes: [%s] }\n",
			n.name, n.client, n.monitor, filepath.Join(n.dir, "disk", "store"), n.route, strings.Join(routes, ", "))
		if err := os.WriteFile(filepath.Join(n.dir, "nats.conf"), []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(c.close)
	for _, n := range c.nodes {
		if err := c.start(n); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.nodes {
		if err := c.ready(n, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *cluster) proxy(port int) *Proxy {
	p, err := NewProxy(fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// link gives a client of its own ways to all servers.
func (c *cluster) link() (ways []*Proxy) {
	for _, n := range c.nodes {
		ways = append(ways, c.proxy(n.client))
	}
	c.links = append(c.links, ways...)
	return ways
}

func (c *cluster) close() {
	for _, n := range c.nodes {
		if n.proc != nil {
			n.proc.signal(syscall.SIGCONT)
			n.proc.kill()
		}
	}
	for _, p := range c.routes {
		p.Close()
	}
	for _, p := range c.links {
		p.Close()
	}
}

func (c *cluster) start(n *node) error {
	p, err := launch(n.log(), c.bin, "-c", filepath.Join(n.dir, "nats.conf"))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proc = p
	return err
}

// log is what the server prints.
func (n *node) log() string { return filepath.Join(n.dir, "log") }

// kill is kill -9.
func (n *node) kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proc.kill()
}

func (n *node) signal(s syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proc.signal(s)
}

// ready waits until a server serves and is caught up.
func (c *cluster) ready(n *node, limit time.Duration) error {
	return poll(limit, func() error {
		_, err := get(fmt.Sprintf("http://127.0.0.1:%d/healthz", n.monitor))
		return err
	})
}

// cutOff separates a server from the other two; its clients stay.
func (c *cluster) cutOff(i int) (heal func()) {
	var cut []*Proxy
	for pair, p := range c.routes {
		if pair[0] == i || pair[1] == i {
			p.Swallow()
			cut = append(cut, p)
		}
	}
	return func() {
		for _, p := range cut {
			p.Heal()
		}
	}
}

// replica of a stream as its leader sees it.
type replica struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	Offline bool   `json:"offline"`
}

// stream asks a server who leads a stream, and how its replicas are.
func (c *cluster) stream(n *node, name string) (leader string, replicas []replica, err error) {
	b, err := get(fmt.Sprintf("http://127.0.0.1:%d/jsz?accounts=true&streams=true", n.monitor))
	if err != nil {
		return "", nil, err
	}
	var j struct {
		Accounts []struct {
			Streams []struct {
				Name    string
				Cluster struct {
					Leader   string
					Replicas []replica
				}
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal(b, &j); err != nil {
		return "", nil, err
	}
	for _, a := range j.Accounts {
		for _, s := range a.Streams {
			if s.Name == name {
				return s.Cluster.Leader, s.Cluster.Replicas, nil
			}
		}
	}
	return "", nil, fmt.Errorf("%s does not know stream %s", n.name, name)
}

// leader is the server that leads the event log, or the picked one when none says so.
func (c *cluster) leader(pick uint64) *node {
	for _, n := range c.nodes {
		name, _, err := c.stream(n, "STIX")
		if err != nil {
			continue
		}
		for _, m := range c.nodes {
			if m.name == name {
				return m
			}
		}
	}
	return c.nodes[pick%3]
}

// misses reports whether a server other than this one sees it missing.
func (c *cluster) misses(gone *node) error {
	for _, n := range c.nodes {
		if n == gone {
			continue
		}
		leader, replicas, err := c.stream(n, "STIX")
		if err != nil || leader != n.name {
			continue
		}
		for _, r := range replicas {
			if r.Name == gone.name && (r.Offline || !r.Current) {
				return nil
			}
		}
	}
	return fmt.Errorf("no server misses %s", gone.name)
}

var client = http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// get reads a page; anything but 200 is an error with the text.
func get(url string) ([]byte, error) {
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := readAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return b, fmt.Errorf("%s: %s: %.300s", url, resp.Status, b)
	}
	return b, nil
}

// poll asks again until the condition holds.
func poll(limit time.Duration, condition func() error) error {
	deadline := time.Now().Add(limit)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 400*time.Millisecond) {
		err := condition()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v: %w", limit, err)
		}
		time.Sleep(wait)
	}
}
