package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every wrong use or configuration is one clear error with place and remedy, before anything is started.
func TestWrongUseIsOneClearErrorAndTheRightExitCode(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	sections := "producers:\n  - { kind: stix, name: feed, path: DIR/feed.json }\nconsumers:\n  - { kind: file, name: out, path: DIR/out.jsonl }\n"
	for _, c := range []struct {
		name   string
		config string // whole; empty: a good one
		args   []string
		code   int
		says   string
	}{
		{"import of a missing file", "", []string{"import", "nowhere.json"}, 2, `^stixbridge: nowhere\.json: no such file$`},
		{"unknown flag", "", []string{"run", "--fast"}, 2, `^stixbridge: unknown flag --fast`},
		{"unknown command", "", []string{"fly"}, 2, `^stixbridge: unexpected argument fly`},
		{"missing configuration", "", []string{"run", "-c", "none.yaml"}, 2, `^none\.yaml: there is no such file`},
		{"unknown key", "consumers:\n  - { kind: file, name: out, path: x, pth: x }\n", []string{"run"}, 2, `^\./stixbridge\.yaml:2:\d+: .*pth.*path`},
		{"broken YAML", "consumers: [\n", []string{"run"}, 2, `^\./stixbridge\.yaml:\d+:\d+: `},
		{"unknown kind", "consumers:\n  - { kind: fle, name: out, path: x }\n", []string{"status"}, 2, `^\./stixbridge\.yaml:2:\d+: .*fle.*file`},
		{"unset variable", "consumers:\n  - { kind: file, name: out, path: '${NOT_SET_ANYWHERE}' }\n", []string{"run"}, 2, `^\./stixbridge\.yaml:2:\d+: .*NOT_SET_ANYWHERE`},
		{"a where that cannot be", "consumers:\n  - { kind: file, name: out, path: x, where: 'score( >' }\n", []string{"run"}, 2, `^\./stixbridge\.yaml:2:\d+: .*where`},
		{"busy port of the event log", fmt.Sprintf("nats: { dir: DIR/data, listen: %q }\nhttp: { listen: 'off' }\n", busy.Addr()) + sections, []string{"run"}, 1, `^stixbridge: .*in use.*another port`},
		{"busy port of the status page", fmt.Sprintf("nats: { dir: DIR/data, listen: '127.0.0.1:0' }\nhttp: { listen: %q }\n", busy.Addr()) + sections, []string{"run"}, 1, `^stixbridge: .*in use`},
		{"status page in the open without a token", "nats: { dir: DIR/data, listen: '127.0.0.1:0' }\nhttp: { listen: '0.0.0.0:0' }\n" + sections, []string{"run"}, 2, `token`},
		{"name that is not there", "", []string{"run", "--only", "oot"}, 2, `^stixbridge: no producer or consumer oot`},
		{"pause of nobody", "", []string{"pause", "nobody"}, 2, `^stixbridge: no consumer nobody`},
		{"tap without a log", "", []string{"tap"}, 1, `^stixbridge: .*no event log here yet`},
		{"erase without a name", "", []string{"erase", "--yes"}, 2, `^stixbridge: erase: name either`},
		{"get of nothing", "", []string{"get", "nonsense"}, 1, `^stixbridge: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, sections)
			if c.config != "" {
				s.configureAll(c.config)
			}
			if c.args[0] == "pause" {
				s.write("feed.json", bundle())
				s.must(0, "run", "--once")
			}
			r := s.run(c.args...)
			text := strings.TrimSpace(r.err)
			if r.code != c.code || !regexp.MustCompile(c.says).MatchString(text) || strings.Contains(text, "\n") {
				t.Errorf("want exit code %d and one line like %q, got %s", c.code, c.says, r)
			}
			if c.code == 2 && c.args[0] != "pause" {
				if _, err := os.Stat(s.data); err == nil {
					t.Error("the store was made although nothing should have begun")
				}
			}
		})
	}
}

func TestStoreThatIsInUseOrOfAnotherKindIsRefused(t *testing.T) {
	s := newSite(t, oneFeed)
	s.write("feed.json", newCorpus("thing", 3).bundle())
	p := s.start()
	p.settled()
	r := s.must(1, "run")
	if want := fmt.Sprintf("is in use by process %d", p.cmd.Process.Pid); !strings.Contains(r.err, want) {
		t.Errorf("a second run says %s, want %q", r, want)
	}
	p.stop()
	mode := filepath.Join(s.data, "MODE")
	for _, c := range []struct {
		name, says string
		spoil      func() error
	}{
		{"the marker of another mode", `another nats.dir`, func() error { return os.WriteFile(mode, []byte("cluster\n"), 0o600) }},
		{"no marker", `did not make`, func() error { return os.Remove(mode) }},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"run", "status"} {
			if r := s.must(1, command); !strings.Contains(r.err, c.says) {
				t.Errorf("%s with %s says %s, want %q", command, c.name, r, c.says)
			}
		}
	}
	if err := os.WriteFile(mode, []byte("standalone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(s.tap()); n != 3 {
		t.Errorf("%d events after all that, want 3", n)
	}
}

func TestExitCodeOfRunOnceSaysWhetherEverythingArrived(t *testing.T) {
	g := newTarget(t, always(verdict{status: 503}))
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json, tlp: clear }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: [feed] }\n  - { kind: file, name: out, path: DIR/out.jsonl }\n", g.URL))
	feed := newCorpus("thing", 5)
	s.write("feed.json", feed.bundle())

	r := s.must(1, "run", "--once", "--timeout", "2s")
	if !strings.Contains(r.err, "pending: soc: 5 events") || !strings.Contains(r.err, "503") {
		t.Errorf("pending says %s", r)
	}
	if n := len(read(t, s.path("out.jsonl"))); n != 5 {
		t.Errorf("the other sink got %d of 5", n)
	}
	g.set(nil)
	s.must(0, "pause", "soc")
	if r := s.must(1, "run", "--once"); !strings.Contains(r.err, "pending: soc: 5 events") || len(g.got()) != 0 {
		t.Errorf("a paused consumer: %d delivered, %s", len(g.got()), r)
	}
	s.must(0, "resume", "soc")
	s.must(0, "run", "--once")
	complete(t, s.tap(), g.got())

	if err := os.Remove(s.path("feed.json")); err != nil {
		t.Fatal(err)
	}
	if r := s.must(1, "run", "--once"); !strings.Contains(r.err, "producer feed") || !strings.Contains(r.err, "feed.json") {
		t.Errorf("a source that is gone: %s", r)
	}
}

// pause while running stops deliveries at once, also over a restart, and resume goes on where it stands.
func TestPausedConsumerGetsNothingUntilItIsResumed(t *testing.T) {
	g := newTarget(t, nil)
	s := newSite(t, fmt.Sprintf("producers:\n  - { kind: stix, name: feed, path: DIR/feed.json, tlp: clear, every: 1s }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: [feed] }\n", g.URL))
	feed := newCorpus("thing", 5)
	s.write("feed.json", feed.bundle())
	p := s.start()
	p.settled()
	s.must(0, "pause", "soc")
	paused := func() error {
		st, err := s.status()
		if k := consumer(st, "soc"); err == nil && (k.Health != "paused" || k.Lag != 1) {
			err = fmt.Errorf("%s, lag %d", k.Health, k.Lag)
		}
		return err
	}
	await(t, patience, func() error {
		st, err := s.status()
		if err == nil && consumer(st, "soc").Health != "paused" {
			err = errors.New("not paused")
		}
		return err
	})
	feed.rev[2]++
	s.write("feed.json", feed.bundle())
	await(t, patience, paused)
	p.stop()
	p = s.start()
	await(t, patience, paused)
	if n := len(g.got()); n != 5 {
		t.Errorf("%d delivered while paused", n-5)
	}
	s.must(0, "resume", "soc")
	p.settled()
	p.stop()
	complete(t, s.tap(), g.got())
}
