package testpeer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Rabbit is a virtual host of a running RabbitMQ broker.
type Rabbit struct {
	URL        string // amqp://…, with credentials and virtual host
	Management string // base URL of the management API, without credentials: http://127.0.0.1:port
	Host       string
	Port       int
	User       string
	Password   string
	VHost      string

	broker *broker
}

type broker struct {
	*process
	c    command  // that started it
	sbin string   // directory of rabbitmqctl
	env  []string // of the broker, for rabbitmqctl
	mgmt string
	amqp int
}

var rabbit = sync.OnceValues(startRabbit)

// errAbsent says that RabbitMQ is not installed.
var errAbsent = errors.New("rabbitmq-server not found")

// RabbitMQ returns a virtual host of its own on the one broker of this test process; the first call starts it (about
// five seconds). The virtual host goes with the test, the broker with the process.
func RabbitMQ(t testing.TB) Rabbit {
	t.Helper()
	b, err := rabbit()
	if errors.Is(err, errAbsent) {
		missing(t, "RabbitMQ", "run `make peers` as root, or install the package rabbitmq-server")
	}
	if err != nil {
		t.Fatalf("start RabbitMQ: %v", err)
	}
	r := Rabbit{
		Management: b.mgmt, Host: "127.0.0.1", Port: b.amqp,
		User: "guest", Password: "guest", broker: b,
	}
	return r.vhost(t)
}

var vhosts atomic.Int64

// vhost makes a virtual host that ends with the test.
func (r Rabbit) vhost(t testing.TB) Rabbit {
	t.Helper()
	r.VHost = fmt.Sprintf("test-%d", vhosts.Add(1))
	r.URL = fmt.Sprintf("amqp://%s:%s@%s:%d/%s", r.User, r.Password, r.Host, r.Port, r.VHost)
	path := "/api/vhosts/" + r.VHost
	if err := r.API("PUT", path, nil, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.API("DELETE", path, nil, nil); err != nil {
			t.Errorf("remove the virtual host: %v", err)
		}
	})
	all := map[string]string{"configure": ".*", "write": ".*", "read": ".*"}
	if err := r.API("PUT", "/api/permissions/"+r.VHost+"/"+r.User, all, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// API calls the management API: path begins with /api/, body and into are JSON and may be nil.
// Its figures (queue lengths, connections) can be some seconds old.
func (r Rabbit) API(method, path string, body, into any) error {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, r.Management+path, in)
	if err != nil {
		return err
	}
	req.SetBasicAuth(r.User, r.Password)
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// Disconnect closes every connection to the virtual host from the broker's side and returns how many there were. It waits
// for up to ten seconds for the first one: the management API learns of new connections late.
func (r Rabbit) Disconnect(t testing.TB) int {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		var open []struct {
			Name string `json:"name"`
		}
		if err := r.API("GET", "/api/vhosts/"+r.VHost+"/connections", nil, &open); err != nil {
			t.Fatal(err)
		}
		for _, c := range open {
			if err := r.API("DELETE", "/api/connections/"+url.PathEscape(c.Name), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		if len(open) > 0 || time.Now().After(deadline) {
			return len(open)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Ctl runs rabbitmqctl against the broker and returns what it printed. It takes a second or two. What it changes (a memory
// alarm, say) concerns every test of the process: undo it.
func (r Rabbit) Ctl(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(r.broker.sbin, "rabbitmqctl"), args...)
	cmd.Env = append(os.Environ(), r.broker.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("rabbitmqctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Block raises the broker's memory alarm, so that it stops reading from publishers (connection.blocked). The returned
// function lifts it, and so does the end of the test.
func (r Rabbit) Block(t testing.TB) (unblock func()) {
	t.Helper()
	r.Ctl(t, "set_vm_memory_high_watermark", "absolute", "1")
	unblock = sync.OnceFunc(func() { r.Ctl(t, "set_vm_memory_high_watermark", "absolute", strconv.Itoa(watermark)) })
	t.Cleanup(unblock)
	return unblock
}

// watermark is the broker's memory alarm in bytes.
const watermark = 1 << 30

func startRabbit() (*broker, error) {
	sbin := findRabbit()
	if sbin == "" {
		return nil, errAbsent
	}
	var err error
	for range 3 { // a port may be gone when the broker wants it
		var b *broker
		if b, err = tryRabbit(sbin); err == nil {
			return b, nil
		}
	}
	return nil, err
}

// findRabbit returns the directory of the broker's own scripts. Debian's wrapper in the PATH changes the user; the scripts
// in its library directory do not.
func findRabbit() string {
	const debian = "/usr/lib/rabbitmq/bin"
	if _, err := os.Stat(filepath.Join(debian, "rabbitmq-server")); err == nil {
		return debian
	}
	if path, err := exec.LookPath("rabbitmq-server"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

func tryRabbit(sbin string) (*broker, error) {
	dir, err := os.MkdirTemp("", "stixbridge-rabbitmq-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	amqp, mgmt, dist, epmd := ports[0], ports[1], ports[2], ports[3]
	files := map[string]string{
		"rabbitmq.conf": fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = %d\n"+
			"vm_memory_high_watermark.absolute = %d\ndisk_free_limit.absolute = 50MB\nloopback_users.guest = true\n"+
			"collect_statistics_interval = 1000\n", amqp, mgmt, watermark),
		"enabled_plugins": "[rabbitmq_management].\n",
		"env.conf":        "",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"home", "mnesia", "logs"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	b := &broker{sbin: sbin, amqp: amqp, mgmt: fmt.Sprintf("http://127.0.0.1:%d", mgmt)}
	b.env = []string{
		"HOME=" + in("home"),
		fmt.Sprintf("RABBITMQ_NODENAME=test%d@localhost", amqp),
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", dist),
		"RABBITMQ_CONFIG_FILE=" + in("rabbitmq.conf"),
		"RABBITMQ_CONF_ENV_FILE=" + in("env.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + in("enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + in("mnesia"),
		"RABBITMQ_LOG_BASE=" + in("logs"),
		"RABBITMQ_LOGS=-",
		"RABBITMQ_PID_FILE=" + in("broker.pid"),
		// A name server of its own: brokers of other test processes come and go.
		fmt.Sprintf("ERL_EPMD_PORT=%d", epmd),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"LANG=C.UTF-8",
		// Loopback only, and idle schedulers that do not spin on a small machine.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
	}
	b.c = command{
		dir: dir, rubbish: dir, env: b.env, after: "epmd -kill",
		args: []string{filepath.Join(sbin, "rabbitmq-server")},
	}
	if b.process, err = start(b.c); err != nil {
		return nil, err
	}
	if err := b.ready(); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

// ready waits until the broker serves.
func (b *broker) ready() error {
	r := Rabbit{Management: b.mgmt, User: "guest", Password: "guest"}
	return b.await(2*time.Minute, func() error { return r.API("GET", "/api/aliveness-test/%2F", nil, nil) })
}
