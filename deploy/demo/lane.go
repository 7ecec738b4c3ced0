package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// lane is one way from the platform to a SIEM: a process that is started again a second after it ended, as a supervisor would.
type lane struct {
	name string
	args []string
	env  []string
	log  string // file of what it says
	siem *siem
	bell *bell
	done chan struct{} // of run; nil before

	mu      sync.Mutex
	process *os.Process
	starts  int
}

func newLane(name, dir string, s *siem, env []string, args ...string) *lane {
	return &lane{name: name, args: args, env: env, log: filepath.Join(dir, name+".log"), siem: s, bell: s.bell}
}

// run keeps the process running until ctx ends, then stops it with SIGTERM, after five seconds with SIGKILL. It returns at once.
func (l *lane) run(ctx context.Context) {
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		for ctx.Err() == nil {
			l.once(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
}

// wait returns when the process has ended for good.
func (l *lane) wait() {
	if l.done != nil {
		<-l.done
	}
}

func (l *lane) once(ctx context.Context) {
	log, err := os.OpenFile(l.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, l.args[0], l.args[1:]...)
	cmd.Env = append(os.Environ(), l.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = mortal()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(log, err)
		return
	}
	l.set(cmd.Process)
	fmt.Fprintln(log, "ended:", cmd.Wait())
	l.set(nil)
}

func (l *lane) set(p *os.Process) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.process = p; p != nil {
		l.starts++
	}
	l.bell.ring()
}

// kill is kill -9.
func (l *lane) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.process != nil {
		_ = l.process.Kill()
	}
}

// started returns how often the process was started, and whether it runs.
func (l *lane) started() (n int, runs bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.starts, l.process != nil
}

// tail is the end of what the process said, for whoever wonders.
func (l *lane) tail() string {
	b, err := os.ReadFile(l.log)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("end of what %s said:\n%s", l.name, b[max(0, len(b)-2000):])
}
