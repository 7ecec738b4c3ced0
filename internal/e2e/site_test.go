package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// patience is how long a test waits for what must come; the machine may be busy.
const patience = 90 * time.Second

// site is a directory with a configuration, in which the bridge is run.
type site struct {
	t    testing.TB
	bin  string
	dir  string
	data string // nats.dir
	runs int
}

// newSite makes a site with the embedded server. sections are producers and consumers; DIR in them is the site's directory.
func newSite(t testing.TB, sections string) *site {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &site{t: t, bin: bin, dir: dir, data: filepath.Join(dir, "data")}
	s.configure(sections)
	return s
}

// configure writes the configuration anew.
func (s *site) configure(sections string) {
	s.t.Helper()
	s.configureAll("nats: { dir: DIR/data, listen: '127.0.0.1:0' }\nhttp: { listen: 'off' }\n" + sections)
}

// configureAll writes a whole configuration.
func (s *site) configureAll(text string) {
	s.t.Helper()
	s.write("stixbridge.yaml", strings.ReplaceAll(text, "DIR", s.dir))
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// write replaces a file at once, as the bridge asks of its sources.
func (s *site) write(name, text string) {
	s.t.Helper()
	tmp := s.path("." + name)
	if err := errors.Join(os.WriteFile(tmp, []byte(text), 0o600), os.Rename(tmp, s.path(name))); err != nil {
		s.t.Fatal(err)
	}
}

// result of a command that ended.
type result struct {
	code     int
	out, err string
}

func (r result) String() string { return fmt.Sprintf("exit code %d\n%s%s", r.code, r.out, r.err) }

// run runs a command to its end, whatever that is.
func (s *site) run(args ...string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.bin, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = mortal()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		s.t.Fatalf("stixbridge %s did not end\n%s%s", strings.Join(args, " "), out.String(), errs.String())
	}
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		s.t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// must runs a command that must end with this code.
func (s *site) must(code int, args ...string) result {
	s.t.Helper()
	r := s.run(args...)
	if r.code != code {
		s.t.Fatalf("stixbridge %s: want exit code %d, got %s", strings.Join(args, " "), code, r)
	}
	return r
}

// process is a running bridge.
type process struct {
	s    *site
	cmd  *exec.Cmd
	log  string // file of standard error
	out  string // file of standard output
	done chan struct{}
}

// start starts `stixbridge run` and returns when it has the store (with a store of its own) or at once (without).
func (s *site) start(args ...string) *process {
	s.t.Helper()
	return s.startAs(s.data, append([]string{"run"}, args...)...)
}

func (s *site) startAs(data string, args ...string) *process {
	s.t.Helper()
	s.runs++
	p := &process{s: s, log: s.path(fmt.Sprintf("run-%d.log", s.runs)), out: s.path(fmt.Sprintf("run-%d.out", s.runs)), done: make(chan struct{})}
	p.cmd = exec.Command(s.bin, args...)
	p.cmd.Dir = s.dir
	p.cmd.SysProcAttr = mortal()
	errs, err := os.Create(p.log)
	if err != nil {
		s.t.Fatal(err)
	}
	defer errs.Close()
	out, err := os.Create(p.out)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, errs
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	s.t.Cleanup(func() {
		end := tail(p.log)
		if s.t.Failed() && !p.ended() {
			end += p.stacks()
		}
		p.kill()
		if s.t.Failed() {
			s.t.Logf("end of %s:\n%s", p.log, end)
		}
	})
	if data != "" {
		await(s.t, patience, func() error { // a command that comes first would take the store
			b, _ := os.ReadFile(filepath.Join(data, "LOCK"))
			if pid, _ := strconv.Atoi(strings.TrimSpace(string(b))); pid != p.cmd.Process.Pid && !p.ended() {
				return errors.New("the bridge does not have the store")
			}
			return nil
		})
		if p.ended() {
			s.t.Fatalf("the bridge ended with exit code %d\n%s", p.cmd.ProcessState.ExitCode(), tail(p.log))
		}
	}
	return p
}

func tail(file string) string {
	b, _ := os.ReadFile(file)
	if len(b) > 3000 {
		b = b[len(b)-3000:]
	}
	return string(b)
}

// stacks ends a process and returns what its goroutines of this program were doing.
func (p *process) stacks() string {
	before, _ := os.ReadFile(p.log)
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
	}
	after, _ := os.ReadFile(p.log)
	var ours []string
	for _, stack := range strings.Split(string(after[len(before):]), "\n\n") {
		if strings.Contains(stack, "stixbridge/") {
			ours = append(ours, stack)
		}
	}
	return strings.Join(ours, "\n\n")
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill is kill -9. It reports whether the process was still there.
func (p *process) kill() bool {
	lived := !p.ended()
	_ = p.cmd.Process.Kill()
	<-p.done
	return lived && !p.cmd.ProcessState.Exited()
}

// stop is SIGTERM; the bridge must end with exit code 0.
func (p *process) stop() {
	p.s.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.s.t.Fatalf("still running %v after SIGTERM", patience)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.s.t.Errorf("exit code %d after SIGTERM\n%s", code, tail(p.log))
	}
}

// status asks the running bridge.
func (s *site) status() (bridge.Status, error) {
	r := s.run("status", "--json")
	var st bridge.Status
	if r.code != 0 {
		return st, fmt.Errorf("status: %s", r)
	}
	err := json.Unmarshal([]byte(r.out), &st)
	return st, err
}

// settled waits until every source was read, by a run that began after the call, and every consumer has dealt with everything.
func (p *process) settled() bridge.Status {
	p.s.t.Helper()
	var st bridge.Status
	await(p.s.t, patience, func() (err error) {
		if p.ended() {
			p.s.t.Fatalf("the bridge ended with exit code %d\n%s", p.cmd.ProcessState.ExitCode(), tail(p.log))
		}
		if st, err = p.s.status(); err != nil {
			return err
		}
		return settled(st)
	})
	return st
}

func settled(st bridge.Status) error {
	if !st.Running {
		return errors.New("not running")
	}
	for _, r := range st.Producers {
		if r.LastRun.IsZero() || r.Health != bridge.Idle || r.Error != "" {
			return fmt.Errorf("producer %s: %s %s", r.Name, r.Health, r.Error)
		}
	}
	for _, c := range st.Consumers {
		if c.Role == "subscriber" { // it reads when it likes
			continue
		}
		if c.Lag > 0 || c.InFlight > 0 || c.Phase == "snapshot" || c.Health != bridge.Healthy {
			return fmt.Errorf("consumer %s: %s, lag %d, position %d %s", c.Name, c.Health, c.Lag, c.Position, c.Error)
		}
	}
	return nil
}

// consumer is one of a status.
func consumer(st bridge.Status, name string) bridge.ConsumerStatus {
	for _, c := range st.Consumers {
		if c.Name == name {
			return c
		}
	}
	return bridge.ConsumerStatus{}
}

// producer is one of a status.
func producer(st bridge.Status, name string) bridge.ProducerStatus {
	for _, p := range st.Producers {
		if p.Name == name {
			return p
		}
	}
	return bridge.ProducerStatus{}
}

// tap returns the events of the log.
func (s *site) tap(args ...string) []line {
	s.t.Helper()
	return lines(s.t, s.must(0, append([]string{"tap"}, args...)...).out)
}

// letter is what dlq list --json prints.
type letter struct {
	Seq      uint64 `json:"seq"`
	Name     string `json:"name"`
	Class    string `json:"class"`
	Reason   string `json:"reason"`
	Attempts int    `json:"attempts"`
	Position string `json:"position"`
	ID       string `json:"id"`
}

func (s *site) letters() (all []letter) {
	s.t.Helper()
	d := json.NewDecoder(strings.NewReader(s.must(0, "dlq", "list", "--json").out))
	for d.More() {
		var l letter
		if err := d.Decode(&l); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// await polls until the condition holds.
func await(t testing.TB, limit time.Duration, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", limit, err)
		}
		time.Sleep(wait)
	}
}

// consumerLag reads a consumer's lag from the text of a status.
func consumerLag(t testing.TB, text, name string) uint64 {
	t.Helper()
	var st bridge.Status
	if err := json.Unmarshal([]byte(text), &st); err != nil {
		t.Fatal(err)
	}
	return consumer(st, name).Lag
}
