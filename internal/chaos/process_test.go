package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is one that the lab started: of a server or of a bridge.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}

	mu      sync.Mutex
	ordered bool // the lab ended it
}

// launch starts a program whose output goes to the end of a file.
func launch(log string, args ...string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &process{cmd: exec.Command(args[0], args[1:]...), log: log, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = filepath.Dir(log), f, f, mortal()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// byUs reports whether the lab ended the process.
func (p *process) byUs() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ordered
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill is kill -9.
func (p *process) kill() {
	p.mu.Lock()
	p.ordered = true
	p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop is SIGTERM; it returns the exit code.
func (p *process) stop(limit time.Duration) (int, error) {
	p.mu.Lock()
	p.ordered = true
	p.mu.Unlock()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return -1, fmt.Errorf("still running %v after SIGTERM", limit)
	}
}

// binary is the bridge, built once for each test process.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "stixbridge-chaos-bin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "stixbridge")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, "github.com/stixbridge/stixbridge/cmd/stixbridge")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}
