package testpeer

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// guard runs a command beside a watcher that reads a pipe from the test process. The pipe closes when that process ends,
// also on a panic, a test timeout or kill -9; the watcher then ends the command. $1 is the directory for pid, log and
// exit; $2 a command to run at the very end; $3 a directory to remove then, if any, unless a file keep in $1 says that the command
// is to be started again.
const guard = `
dir=$1 after=$2 rubbish=$3; shift 3
exec 3<&0
"$@" >>"$dir/log" 2>&1 </dev/null 3<&- &
pid=$!
echo $pid >"$dir/pid.new" && mv "$dir/pid.new" "$dir/pid"
{
	read -r _ <&3
	kill -TERM $pid 2>/dev/null
	n=0
	while kill -0 $pid 2>/dev/null && [ $n -lt 150 ]; do sleep 0.1; n=$((n+1)); done
	kill -KILL $pid 2>/dev/null
} >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait $pid
code=$?
kill $watcher 2>/dev/null
[ -z "$after" ] || eval "$after" >/dev/null 2>&1 </dev/null
echo $code >"$dir/exit"
[ -z "$rubbish" ] || [ -e "$dir/keep" ] || { rm -rf "$rubbish"; kill -KILL 0; }
`

// process is a command under guard.
type process struct {
	dir  string   // pid, log, exit
	pipe *os.File // its end is the command's end; must stay reachable
	cmd  *exec.Cmd
}

// command of a process to start.
type command struct {
	dir     string   // an existing directory for pid, log and exit
	args    []string // program and arguments
	env     []string // added to the environment
	after   string   // shell command for when the program has ended
	rubbish string   // directory to remove after that; with it, whatever is left of the process group is killed
}

func start(c command) (*process, error) {
	for _, name := range []string{"pid", "exit"} {
		if err := os.Remove(filepath.Join(c.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", guard, "guard", c.dir, c.after, c.rubbish}, c.args...)...)
	cmd.Stdin = r
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Dir = c.dir
	// A group of its own: a Ctrl-C ends the test process, and then the guard ends the command in good order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, err
	}
	return &process{dir: c.dir, pipe: w, cmd: cmd}, nil
}

// exited tells whether the command has ended.
func (p *process) exited() bool {
	_, err := os.Stat(filepath.Join(p.dir, "exit"))
	return err == nil
}

// stop ends the command with SIGTERM, after 15 s with SIGKILL, and waits for its end.
func (p *process) stop() {
	p.pipe.Close()
	_ = p.cmd.Wait() // the guard's own exit code says nothing
}

// kill ends the command with SIGKILL and waits for its end.
func (p *process) kill() error {
	pid, err := p.pid()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	_ = p.cmd.Wait()
	p.pipe.Close()
	return nil
}

func (p *process) pid() (int, error) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		text, err := os.ReadFile(filepath.Join(p.dir, "pid"))
		if err == nil {
			return strconv.Atoi(strings.TrimSpace(string(text)))
		}
		if time.Now().After(deadline) {
			return 0, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// await polls ready until it returns nil, the command ends or the time is over.
func (p *process) await(limit time.Duration, ready func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if p.exited() {
			return fmt.Errorf("ended before it was ready: %w\n%s", err, p.tail())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after %s: %w\n%s", limit, err, p.tail())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// tail is the end of what the command printed.
func (p *process) tail() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	if len(text) > 4096 {
		text = text[len(text)-4096:]
	}
	return string(text)
}

// Ports returns n free TCP ports on loopback. Another process may take one before it is used: retry then.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	ports, err := freePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at once at the end: no port twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
