package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// instance is one bridge: the same configuration as the others, a nats.dir, a port and ways to the servers of its own. It is started
// again when it ends, as a service manager does.
type instance struct {
	name   string
	config string
	log    string
	http   string // host:port of its page
	ways   []*Proxy

	mu     sync.Mutex
	proc   *process
	down   bool // meant to be away
	starts int
	peak   int      // KiB resident, over all its processes
	ends   []string // of processes that ended by themselves
}

func (b *instance) start() error {
	bin, err := binary()
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = false
	b.starts++
	b.proc, err = launch(b.log, bin, "run", "-c", b.config)
	return err
}

// watch starts the process again when it ends by itself, and measures it, until quit is closed.
func (b *instance) watch(quit <-chan struct{}) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		b.mu.Lock()
		p, down := b.proc, b.down
		b.mu.Unlock()
		if !p.ended() {
			if kib := resident(p.cmd.Process.Pid); kib > 0 {
				b.mu.Lock()
				b.peak = max(b.peak, kib)
				b.mu.Unlock()
			}
			continue
		}
		if down || p.byUs() {
			continue
		}
		b.mu.Lock()
		b.ends = append(b.ends, fmt.Sprintf("%s ended with %v: %s", b.name, p.cmd.ProcessState, lastLine(b.log)))
		b.mu.Unlock()
		select {
		case <-quit:
			return
		case <-time.After(time.Second):
		}
		b.mu.Lock()
		down = b.down
		b.mu.Unlock()
		if !down {
			_ = b.start()
		}
	}
}

func (b *instance) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = true
	b.proc.kill()
}

func (b *instance) stop(limit time.Duration) (int, error) {
	b.mu.Lock()
	b.down = true
	p := b.proc
	b.mu.Unlock()
	if p.ended() {
		return 0, nil
	}
	return p.stop(limit)
}

func (b *instance) signal(s syscall.Signal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.proc.signal(s)
}

// answers returns nil when the bridge says that it is ready.
func (b *instance) answers() error {
	_, err := get("http://" + b.http + "/readyz")
	return err
}

// status is what the bridge's page says.
func (b *instance) status() (st bridge.Status, err error) {
	text, err := get("http://" + b.http + "/api/v1/status")
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(text, &st)
}

// command runs the command line with this bridge's configuration.
func (b *instance) command(args ...string) (string, error) {
	bin, err := binary()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(bin, append(args, "-c", b.config)...)
	cmd.Dir = filepath.Dir(b.config)
	cmd.SysProcAttr = mortal()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("stixbridge %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// sizeOf is how much a bridge has logged so far, for said.
func sizeOf(file string) int64 {
	st, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return st.Size()
}

// said returns nil when the log has a warning or error that matches, after an offset.
func said(file string, from int64, what *regexp.Regexp) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(b[min(from, int64(len(b))):]) {
		if (bytes.Contains(line, []byte("WARN")) || bytes.Contains(line, []byte("ERR"))) && what.Match(line) {
			return nil
		}
	}
	return errors.New("its log does not say so")
}

// mentions returns nil when a log has a line that matches, after an offset.
func mentions(file string, from int64, what *regexp.Regexp) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !what.Match(b[min(from, int64(len(b))):]) {
		return errors.New("its log does not say so")
	}
	return nil
}

func mentionsPanic(file string) bool {
	return mentions(file, 0, regexp.MustCompile(`(?m)^(panic: |fatal error: |goroutine \d+ \[)`)) == nil
}

func lastLine(file string) string {
	b, _ := os.ReadFile(file)
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return all[len(all)-1]
}

var rss = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// resident is a process's resident memory in KiB; 0 where that is not known.
func resident(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	m := rss.FindSubmatch(b)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}
