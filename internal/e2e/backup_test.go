package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// A backup is made while the bridge works, the store is lost later, and the backup is restored: what was accepted before it is all there, the
// source brings the rest again, and the targets get from the position of the backup on what they had got after it.
func TestBackupUnderLoadThenTheStoreIsLostAndRestored(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { drill(t, "{ dir: DIR/data, listen: '127.0.0.1:0' }", nil) })
	t.Run("cluster", func(t *testing.T) {
		servers := testpeer.Cluster(t, 3)
		other := testpeer.Cluster(t, 3)
		drill(t, fmt.Sprintf("{ dir: DIR/data, url: %q }", servers.URL()), other)
	})
}

func drill(t *testing.T, nats string, other *testpeer.Servers) {
	r := rand.New(rand.NewPCG(seed(t), 41))
	g := newTarget(t, nil)
	s := newSite(t, "")
	if other != nil {
		s.data = ""
	}
	feed := newCorpus("thing", 300)
	s.configureAll(busy(nats, g.URL))
	l := startLoad(s, feed, r)
	p := s.startAs(s.data, "run")
	more := func(n int) {
		t.Helper()
		before := len(g.got())
		await(t, patience, func() error {
			if len(g.got()) < before+n {
				return errors.New("too few deliveries")
			}
			return nil
		})
	}
	more(400)
	await(t, patience, func() error { // also after the store has become available for commands
		if res := s.run("tap"); res.code != 0 {
			return errors.New(res.String())
		}
		return nil
	})
	before := lines(t, s.must(0, "tap").out)
	delivered := len(g.got())
	if res := s.must(0, "backup", s.path("backup")); !strings.Contains(res.out, s.path("backup")) {
		t.Errorf("backup says %s", res)
	}
	if res := s.must(1, "backup", s.path("backup")); !strings.Contains(res.err, "not empty") {
		t.Errorf("a second backup into the same directory: %s", res)
	}
	if err := filepath.WalkDir(s.path("backup"), func(path string, d fs.DirEntry, err error) error {
		i, ierr := d.Info()
		if err == nil && ierr == nil && i.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", path, i.Mode())
		}
		return errors.Join(err, ierr)
	}); err != nil {
		t.Fatal(err)
	}
	more(200)
	if res := s.must(1, "restore", s.path("backup")); !strings.Contains(res.err, "stop the bridge") && !strings.Contains(res.err, "already") {
		t.Errorf("restore while the bridge runs: %s", res)
	}
	p.kill()
	if res := s.must(1, "restore", s.path("backup")); !strings.Contains(res.err, "move that one away") {
		t.Errorf("restore over a store that is there: %s", res)
	}

	// The store is lost.
	if other == nil {
		if err := os.Rename(filepath.Join(s.data, "jetstream"), s.path("lost")); err != nil {
			t.Fatal(err)
		}
	} else {
		s.configureAll(busy(fmt.Sprintf("{ dir: DIR/data, url: %q }", other.URL()), g.URL))
	}
	b, err := os.ReadFile(s.path("backup/STIX.s2"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("good.s2", string(b))
	b[len(b)/2] ^= 1
	if err := os.WriteFile(s.path("backup/STIX.s2"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if res := s.must(1, "restore", s.path("backup")); !strings.Contains(res.err, "damaged") {
		t.Errorf("a damaged backup: %s", res)
	}
	if err := os.Rename(s.path("good.s2"), s.path("backup/STIX.s2")); err != nil {
		t.Fatal(err)
	}
	k := s.startAs("", "restore", s.path("backup")) // killed in the midst of it, if it gets so far
	time.Sleep(time.Duration(r.Int64N(int64(400 * time.Millisecond))))
	killed := k.kill()
	if res := s.run("restore", s.path("backup")); res.code != 0 && (killed || !strings.Contains(res.err, "already")) {
		t.Fatalf("restore: %s", res)
	}
	restored := lines(t, s.must(0, "tap").out)
	if len(restored) < len(before) {
		t.Fatalf("%d events, %d were accepted before the backup", len(restored), len(before))
	}
	if d := cmp.Diff(before, restored[:len(before)]); d != "" {
		t.Errorf("events (-before the backup +restored):\n%s", d)
	}

	again := len(g.got())
	p = s.startAs(s.data, "run")
	more(50)
	l.stop()
	await(t, patience, func() error { return current(feed, g.got()) })
	await(t, patience, func() error {
		st, err := s.status()
		if err != nil {
			return err
		}
		return settled(st)
	})
	p.stop()
	log, got := s.tap(), g.got()
	singular(t, log)
	feed.holds(t, got)
	feed.holds(t, read(t, s.path("out.jsonl")))
	ordered(t, got[again:])
	for _, e := range got[again:] { // from the position of the backup on
		if e.Seq <= before[0].Seq && delivered > 1 {
			t.Errorf("event %d was delivered again from the beginning of the log", e.Seq)
		}
	}
	t.Logf("%d events before the backup, %d in it, %d in the end; %d deliveries until the loss, %d after it", len(before), len(restored), len(log), again, len(got)-again)
}

// Only the log is put back from an older copy, the rest is newer: the bridge stops and says what to do.
func TestLogAloneFromAnOlderCopyStopsWithTheRemedy(t *testing.T) {
	for _, with := range []string{"with the high-water mark", "without it"} {
		t.Run(with, func(t *testing.T) {
			s := newSite(t, strings.Replace(oneFeed, "name: feed", "name: feed, every: 1s", 1))
			feed := newCorpus("thing", 20)
			s.write("feed.json", feed.bundle())
			p := s.start()
			p.settled()
			p.stop()
			stream := filepath.Join(s.data, "jetstream", "$G", "streams", "STIX")
			if err := os.CopyFS(s.path("older"), os.DirFS(stream)); err != nil {
				t.Fatal(err)
			}
			for i := range feed.rev {
				feed.rev[i]++
			}
			s.write("feed.json", feed.bundle())
			p = s.start()
			p.settled()
			p.stop()
			if err := errors.Join(os.RemoveAll(stream), os.CopyFS(stream, os.DirFS(s.path("older")))); err != nil {
				t.Fatal(err)
			}
			if with == "without it" {
				if err := os.Remove(filepath.Join(s.data, "high-water.json")); err != nil {
					t.Fatal(err)
				}
			}
			res := s.must(1, "run", "--once")
			if !strings.Contains(res.err, "restore") || !strings.Contains(res.err, "one backup") {
				t.Errorf("it does not name the remedy: %s", res)
			}
			t.Log(res.err)
		})
	}
}
