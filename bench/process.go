package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a process of ours: the bridge, a peer, the stand-in or a server. It ends with this program.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   string
	ended chan struct{}
	err   error
}

// spawn starts a program; what it prints goes to a file, or to out.
func (b *bench) spawn(name string, out io.Writer, env []string, args ...string) (*child, error) {
	b.dirs++
	c := &child{log: filepath.Join(b.tmp, fmt.Sprintf("%s-%d.log", name, b.dirs)), ended: make(chan struct{})}
	f, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	c.cmd = exec.Command(args[0], args[1:]...)
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stdout, c.cmd.Stderr = f, f
	if out != nil {
		c.cmd.Stdout = out
	}
	c.cmd.SysProcAttr = mortal()
	if c.stdin, err = c.cmd.StdinPipe(); err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		f.Close()
		close(c.ended)
	}()
	return c, nil
}

// stop ends it in good order, or after ten seconds without.
func (c *child) stop() {
	_ = c.stdin.Close()
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(10 * time.Second):
		c.kill()
	}
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// said is the end of what it printed, for errors.
func (c *child) said() string {
	text, _ := os.ReadFile(c.log)
	return strings.TrimSpace(string(text[max(0, len(text)-2000):]))
}

// usage is what a process has used so far.
type usage struct {
	cpu  time.Duration
	peak int64 // resident bytes at most
}

// used reads it from the kernel; zero where that is not Linux.
func (c *child) used() (u usage) {
	dir := fmt.Sprintf("/proc/%d/", c.cmd.Process.Pid)
	if text, err := os.ReadFile(dir + "stat"); err == nil {
		if f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])); len(f) > 12 {
			user, _ := strconv.ParseInt(f[11], 10, 64)
			system, _ := strconv.ParseInt(f[12], 10, 64)
			u.cpu = time.Duration(user+system) * time.Second / 100 // USER_HZ is 100 on every Linux
		}
	}
	text, _ := os.ReadFile(dir + "status")
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			u.peak = kb << 10
		}
	}
	return u
}

// platform starts the stand-in and returns its address.
func (b *bench) platform(args ...string) (*child, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	c, err := b.spawn("stand-in", w, nil, append([]string{self, "stand-in"}, args...)...)
	w.Close()
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		c.kill()
		return nil, "", fmt.Errorf("the stand-in did not start: %w\n%s", err, c.said())
	}
	return c, strings.TrimSpace(line), nil
}

// errEnded says that a process ended before its time.
var errEnded = errors.New("ended before its time")

// alive is an error once the process has ended.
func (c *child) alive(name string) error {
	select {
	case <-c.ended:
		return fmt.Errorf("%s %w: %v\n%s", name, errEnded, c.err, c.said())
	default:
		return nil
	}
}
