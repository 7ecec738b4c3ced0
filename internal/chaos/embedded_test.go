package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// The disk of an embedded event log runs full while a feed changes. The bridge takes nothing that it cannot keep, and goes on when there is
// room again, after a restart at the latest; nothing is lost.
func TestADiskThatRunsFullUnderTheEmbeddedLogLosesNothing(t *testing.T) {
	t.Parallel() // it waits most of the time
	dir := t.TempDir()
	disk := smallDisk(t, filepath.Join(dir, "data"), 64<<20)
	if disk == "" {
		t.Skip("SKIPPED, NOT TESTED: a full disk under the embedded log: run as root on Linux")
	}
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	f := newFeed(dir, 1)
	g := newTarget(t, "soc", true)
	b := &instance{name: "b", config: filepath.Join(dir, "b.yaml"), log: filepath.Join(dir, "b.log"), http: fmt.Sprintf("127.0.0.1:%d", testpeer.Ports(t, 1)[0])}
	text := fmt.Sprintf("nats: { dir: %q, listen: '127.0.0.1:0', max_bytes: 32MiB }\nhttp: { listen: %q }\nlog: { format: text }\nproducers:\n"+
		"  - { kind: stix, name: feed, path: %q, every: 1s, snapshot: true, tlp: clear }\nconsumers:\n"+
		"  - { kind: webhook, name: soc, url: %q, producers: ['*'], max_tlp: red, start: all, concurrency: 4 }\n", disk, b.http, f.path, g.url())
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\nlog: %s", err, lastLine(b.log))
		}
	}
	must(f.change())
	must(b.start())
	t.Cleanup(b.kill)
	must(poll(patience, func() error {
		if len(g.received()) < feedObjects {
			return fmt.Errorf("%d events at the target", len(g.received()))
		}
		return nil
	}))
	from := sizeOf(b.log)
	empty, err := fill(disk)
	must(err)
	stop := keep(300*time.Millisecond, f.change, func(err error) { t.Error(err) })
	defer stop()
	word := regexp.MustCompile(`no space left|insufficient|out of (resources|space)|nearly full`)
	if err := poll(20*time.Second, func() error {
		if _, err := get("http://" + b.http + "/healthz"); err == nil {
			return errors.New("/healthz says that all is well")
		} else if !strings.Contains(err.Error(), "503") {
			return err
		}
		return said(b.log, from, word)
	}); err != nil {
		st, _ := b.status()
		t.Errorf("not named: %v; producer %s %q, consumer %s %q", err, st.Producers[0].Health, st.Producers[0].Error, st.Consumers[0].Health, st.Consumers[0].Error)
	}
	_, why := get("http://" + b.http + "/healthz")
	t.Logf("while the disk is full: %v; last in its log: %s", why, lastLine(b.log))
	must(empty())
	emptied := time.Now()
	mended := func() error {
		st, err := b.status()
		if err != nil {
			return err
		}
		p, k := st.Producers[0], st.Consumers[0]
		if p.Error != "" || !p.LastRun.After(emptied) || k.Error != "" {
			return fmt.Errorf("producer %q, consumer %q, problems %q", p.Error, k.Error, st.Problems)
		}
		return nil
	}
	if err := poll(20*time.Second, mended); err != nil {
		t.Logf("it does not go on by itself (%v): restart", err)
		_, err := b.stop(patience)
		must(err)
		must(b.start())
		must(poll(patience, mended))
	}
	stop()
	stopped, position := time.Now(), uint64(0)
	must(poll(patience, func() error {
		st, err := b.status()
		if err != nil {
			return err
		}
		if p := st.Producers[0]; p.Health != bridge.Idle || !p.LastRun.After(stopped) {
			return fmt.Errorf("producer %s: %s", p.Health, p.Error)
		}
		if k := st.Consumers[0]; k.Position < st.Log.LastSeq {
			return fmt.Errorf("consumer at %d of %d", k.Position, st.Log.LastSeq)
		}
		position = st.Consumers[0].Position
		return nil
	}))
	if code, err := b.stop(patience); code != 0 || err != nil {
		t.Errorf("exit code %d, %v: %s", code, err, lastLine(b.log))
	}
	out, err := b.command("tap")
	must(err)
	log, err := events(out)
	must(err)
	report := Check(Run{Log: log, Sources: []Source{f.source()}, Consumers: []Consumer{{Name: "soc", Receipts: g.received(), Exact: true, Position: position}}})
	t.Logf("\n%s", report.Table())
	if len(report.Findings) > 0 {
		t.Error(report.Summary())
	}
}
