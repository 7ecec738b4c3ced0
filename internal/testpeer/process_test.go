package testpeer

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain plays the test process that is killed: it starts a command, says so and waits for its end.
func TestMain(m *testing.M) {
	if dir := os.Getenv("TESTPEER_VICTIM"); dir != "" {
		p, err := start(command{dir: dir, rubbish: dir, args: []string{"sleep", "600"}})
		if err != nil {
			panic(err)
		}
		pid, err := p.pid()
		if err != nil {
			panic(err)
		}
		fmt.Println(pid)
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

func TestCommandAndItsDirectoryEndWithAKilledTestProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "victim")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TESTPEER_VICTIM="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the command does not run: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	within(t, 20*time.Second, func() error {
		if !gone(pid) {
			return fmt.Errorf("process %d still runs", pid)
		}
		if _, err := os.Stat(dir); err == nil {
			return errors.New("its directory is still there")
		}
		return nil
	})
}

func TestStopEndsWithSIGTERMAndKillDoesNot(t *testing.T) {
	script := `trap 'echo ended in good order; exit 7' TERM; echo ready; while :; do sleep 0.05; done`
	for _, c := range []struct {
		name string
		end  func(*process) error
		want string
		code string
	}{
		{"stop", func(p *process) error { p.stop(); return nil }, "ready\nended in good order\n", "7"},
		{"kill", (*process).kill, "ready\n", "137"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := start(command{dir: t.TempDir(), args: []string{"/bin/sh", "-c", script}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.stop)
			err = p.await(10*time.Second, func() error {
				if !strings.Contains(p.tail(), "ready") {
					return errors.New("nothing printed")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.end(p); err != nil {
				t.Fatal(err)
			}
			if got := p.tail(); got != c.want {
				t.Errorf("printed %q, want %q", got, c.want)
			}
			code, err := os.ReadFile(filepath.Join(p.dir, "exit"))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(string(code)); got != c.code {
				t.Errorf("exit code %s, want %s", got, c.code)
			}
		})
	}
}

func TestAwaitSaysWhatTheCommandPrintedWhenItEndsEarly(t *testing.T) {
	p, err := start(command{dir: t.TempDir(), args: []string{"/bin/sh", "-c", "echo no such port >&2; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	err = p.await(10*time.Second, func() error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "no such port") || !strings.Contains(err.Error(), "not yet") {
		t.Errorf("error %v", err)
	}
}

func TestPortsAreDistinct(t *testing.T) {
	seen := map[int]bool{}
	for _, port := range Ports(t, 20) {
		if seen[port] {
			t.Errorf("port %d twice", port)
		}
		seen[port] = true
	}
}

// gone tells whether the process has ended; one that nobody has waited for yet (a zombie) has.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// within polls until the condition holds.
func within(t *testing.T, limit time.Duration, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
