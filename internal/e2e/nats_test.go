package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// shell runs a printed line with the nats command line in the path.
func (s *site) shell(cli, line string) (out string, wait func() error) {
	s.t.Helper()
	bin := s.path("bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		s.t.Fatal(err)
	}
	_ = os.Symlink(cli, filepath.Join(bin, "nats"))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "exec env "+line)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.dir, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "NO_COLOR=1"), mortal()
	f, err := os.CreateTemp(s.dir, "nats-")
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return f.Name(), func() error { defer cancel(); defer f.Close(); return cmd.Wait() }
}

// The lines that run prints work with the stock nats command line: readable subjects, plain JSON.
func TestPrintedNATSLinesWorkWithTheStockCommandLine(t *testing.T) {
	cli := testpeer.NATSCLI(t)
	s := newSite(t, strings.Replace(oneFeed, "name: feed", "name: feed, tlp: green, every: 1s", 1))
	feed := newCorpus("thing", 3)
	s.write("feed.json", feed.bundle())
	p := s.start()
	p.settled()
	var printed []string
	await(t, patience, func() error {
		printed = nil
		for _, m := range regexp.MustCompile(`(?m)^(?:with nats)? +(XDG_CONFIG_HOME=.*nats .*)$`).FindAllStringSubmatch(read1(t, p.out), -1) {
			printed = append(printed, m[1])
		}
		if len(printed) != 2 {
			return fmt.Errorf("run prints %q", read1(t, p.out))
		}
		return nil
	})
	subject := regexp.MustCompile(`stix\.v1\.feed\.green\.(create|update)\.malware\.\d+`)
	check := func(name, text, op string) {
		t.Helper()
		m := subject.FindStringSubmatch(text)
		if m == nil || m[1] != op {
			t.Errorf("%s shows no subject of a %s: %s", name, op, text)
		}
		found := false
		for _, l := range strings.Split(text, "\n") {
			var o struct{ Type, ID string }
			if strings.HasPrefix(l, "{") && json.Unmarshal([]byte(l), &o) == nil && o.Type == "malware" {
				found = true
			}
		}
		if !found {
			t.Errorf("%s shows no object as plain JSON: %s", name, text)
		}
		if !strings.Contains(text, "Stix-Id: ") {
			t.Errorf("%s shows no header Stix-Id: %s", name, text)
		}
	}

	terminal, err := exec.LookPath("script") // stream view wants one
	if err != nil {
		t.Fatal("the program script is missing (package bsdutils or util-linux)")
	}
	out, wait := s.shell(cli, fmt.Sprintf("%s -qec %q /dev/null", terminal, "env "+printed[1]))
	if err := wait(); err != nil {
		t.Errorf("stream view: %v", err)
	}
	check("stream view", strings.ReplaceAll(read1(t, out), "\r", ""), "create")

	out, wait = s.shell(cli, printed[0]+" --count 1")
	done := make(chan error, 1)
	go func() { done <- wait() }()
	await(t, patience, func() error { // until the subscription is there, an event may come too early
		select {
		case err := <-done:
			return err
		default:
		}
		feed.rev[1]++
		s.write("feed.json", feed.bundle())
		time.Sleep(500 * time.Millisecond) // the source's pace
		return fmt.Errorf("nats sub has seen nothing: %s", read1(t, out))
	})
	check("sub", read1(t, out), "update")
	p.stop()
}
