package testpeer

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Pid is the process of the broker itself, to stop and continue it. What is done to it concerns every test of the process.
func (r Rabbit) Pid(t testing.TB) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.Trim(strings.TrimSpace(r.Ctl(t, "eval", "os:getpid().")), `"`))
	if err != nil {
		t.Fatalf("the broker's process: %v", err)
	}
	return pid
}

// Crash ends the broker, by its Pid, with SIGKILL, as a power cut does; its store stays. Restart starts it again.
func (r Rabbit) Crash(t testing.TB, pid int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.broker.dir, "keep"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill the broker: %v", err)
	}
	_ = r.broker.cmd.Wait()
	r.broker.pipe.Close()
}

// Restart starts a broker that crashed again, on its store and ports, and waits until it serves. It has another Pid then.
func (r Rabbit) Restart(t testing.TB) {
	t.Helper()
	p, err := start(r.broker.c)
	if err != nil {
		t.Fatalf("start the broker again: %v", err)
	}
	r.broker.process = p
	if err := os.Remove(filepath.Join(r.broker.dir, "keep")); err != nil {
		t.Fatal(err)
	}
	if err := r.broker.ready(); err != nil {
		t.Fatalf("start the broker again: %v", err)
	}
}
