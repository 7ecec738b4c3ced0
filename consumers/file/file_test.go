package file

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/bridgetest"
)

func build(t testing.TB, path string) *sink {
	t.Helper()
	s, err := Plugin.Build(json.RawMessage(fmt.Sprintf(`{"path":%q}`, path)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.(*sink).Close() })
	return s.(*sink)
}

// lines are the sequences in the file; a line that is none of ours fails the test.
func lines(t testing.TB, path string) (seqs []uint64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			t.Errorf("a torn line: %.60q", line)
			continue
		}
		r, err := bridgetest.ReadLine(line)
		if err != nil {
			t.Error(err)
		}
		seqs = append(seqs, r.Seq)
	}
	return seqs
}

func seqs(events []bridge.Event) (s []uint64) {
	for _, e := range events {
		s = append(s, e.Seq)
	}
	return s
}

func deliver(t testing.TB, s *sink, events []bridge.Event) {
	t.Helper()
	if err := s.Deliver(t.Context(), events); err != nil {
		t.Fatal(err)
	}
}

func TestALineIsWhatTapShows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	e := bridgetest.Sample()[0]
	deliver(t, build(t, path), []bridge.Event{e})
	got, _ := os.ReadFile(path)
	if diff := cmp.Diff(string(e.Line(nil))+"\n", string(got)); diff != "" {
		t.Error(diff)
	}
}

// A crash may leave any beginning of a batch on disk. Wherever it was cut, opening leaves whole lines only, and what comes again
// completes the file.
func TestACrashAtEveryByteLeavesNoTornLine(t *testing.T) {
	events := bridgetest.Sample()[:3]
	events[1] = bridgetest.NewEvent(events[1].Seq, bridge.Create, bridgetest.Must(`{"type":"malware","id":"malware--1","name":"short"}`))
	var before, after []byte
	before = append(events[0].Line(nil), '\n')
	after = append(before, append(append(append(events[1].Line(nil), '\n'), events[2].Line(nil)...), '\n')...)
	path := filepath.Join(t.TempDir(), "events.jsonl")
	for n := len(before); n <= len(after); n++ {
		for _, zeros := range []int{0, 100} { // after a power loss the file may have its length but not its content
			if err := os.WriteFile(path, append(append([]byte(nil), after[:n]...), make([]byte, zeros)...), 0o600); err != nil {
				t.Fatal(err)
			}
			s := build(t, path)
			if err := s.Start(t.Context(), bridge.Env{}); err != nil {
				t.Fatalf("cut at %d with %d zeros: %v", n, zeros, err)
			}
			whole := lines(t, path)
			if want := bytes.Count(after[:n], []byte("\n")); len(whole) != want {
				t.Fatalf("cut at %d with %d zeros: %d lines left, want %d", n, zeros, len(whole), want)
			}
			_ = s.Close()
		}
	}
}

func TestAHoleInTheMiddleOfTheLastBatchIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	events := bridgetest.Sample()[:8]
	s := build(t, path)
	deliver(t, s, events)
	_ = s.Close()
	b, _ := os.ReadFile(path)
	at := bytes.Index(b, events[5].Line(nil))
	clear(b[at+10 : at+60])
	_ = os.WriteFile(path, b, 0o600)
	s = build(t, path)
	deliver(t, s, events[5:])
	if diff := cmp.Diff(seqs(events), lines(t, path)); diff != "" {
		t.Error(diff)
	}
	if s.Report()["repaired_bytes"] == nil {
		t.Error("the repair is not reported")
	}
}

func TestAFileOfSomeoneElseIsNotCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	for _, text := range []string{"my notes\nwithout an end", "{\"other\":", "x"} {
		_ = os.WriteFile(path, []byte(text), 0o600)
		err := build(t, path).Deliver(t.Context(), bridgetest.Sample()[:1])
		if err == nil || !strings.Contains(err.Error(), "move the file away") {
			t.Errorf("%q: got %v", text, err)
		}
		if b, _ := os.ReadFile(path); string(b) != text {
			t.Errorf("%q became %q", text, b)
		}
	}
}

func TestRotation(t *testing.T) {
	events := bridgetest.Sample()
	tests := []struct {
		name   string
		rotate func(path string) error
		want   []uint64 // left under the path
	}{
		{"renamed", func(p string) error { return os.Rename(p, p+".1") }, seqs(events[3:])},
		{"removed", os.Remove, seqs(events[3:])},
		{"renamed and made anew", func(p string) error {
			if err := os.Rename(p, p+".1"); err != nil {
				return err
			}
			return os.WriteFile(p, nil, 0o600)
		}, seqs(events[3:])},
		{"copied and truncated", func(p string) error { return os.Truncate(p, 0) }, seqs(events[3:])},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.jsonl")
			s := build(t, path)
			deliver(t, s, events[:3])
			if err := tt.rotate(path); err != nil {
				t.Fatal(err)
			}
			deliver(t, s, events[3:7])
			deliver(t, s, events[7:])
			if diff := cmp.Diff(tt.want, lines(t, path)); diff != "" {
				t.Error(diff)
			}
			if _, err := os.Stat(path + ".1"); err == nil {
				if diff := cmp.Diff(seqs(events[:3]), lines(t, path+".1")); diff != "" {
					t.Errorf("the rotated file: %s", diff)
				}
			}
		})
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	_ = os.WriteFile(plain, nil, 0o600)
	closed := filepath.Join(dir, "closed")
	_ = os.Mkdir(closed, 0o500)
	for path, want := range map[string]string{
		filepath.Join(dir, "none", "x.jsonl"): "does not exist: make it",
		filepath.Join(plain, "x.jsonl"):       "is not a directory",
		dir:                                   "is a directory: name a file in it",
		filepath.Join(closed, "x.jsonl"):      "no permission to write",
	} {
		if os.Getuid() == 0 && strings.HasPrefix(path, closed) {
			continue // root may write anywhere
		}
		s := build(t, path)
		for what, err := range map[string]error{"start": s.Start(t.Context(), bridge.Env{}), "deliver": s.Deliver(t.Context(), bridgetest.Sample()[:1])} {
			if err == nil || !strings.Contains(err.Error(), want) || bridge.IsPermanent(err) {
				t.Errorf("%s: got %v, want %q", what, err, want)
			}
		}
	}
	if _, err := Plugin.Build(json.RawMessage(`{}`)); err == nil || !strings.Contains(err.Error(), "path") {
		t.Errorf("without a path: %v", err)
	}
}

func TestAMissingDirectoryThatIsMadeIsUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "later", "events.jsonl")
	s := build(t, path)
	if err := s.Deliver(t.Context(), bridgetest.Sample()[:1]); err == nil {
		t.Fatal("no error")
	}
	_ = os.Mkdir(filepath.Dir(path), 0o700)
	deliver(t, s, bridgetest.Sample()[:2])
	if len(lines(t, path)) != 2 {
		t.Error("not delivered")
	}
}

func TestTwoWritersAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	first := build(t, path)
	deliver(t, first, bridgetest.Sample()[:1])
	second := build(t, path)
	if err := second.Deliver(t.Context(), bridgetest.Sample()[1:2]); err == nil || !strings.Contains(err.Error(), "another process or consumer") {
		t.Errorf("got %v", err)
	}
	_ = first.Close()
	deliver(t, second, bridgetest.Sample()[1:2])
}

// A disk that fills up leaves no half line, costs no event, and the delivery succeeds once there is room.
func TestAFullDiskIsAPlainError(t *testing.T) {
	if os.Getenv("STIXBRIDGE_TEST_FULL") == "" {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "events.jsonl")
		// A limit on the file size of a process is the full disk that any user can have.
		cmd := exec.Command("sh", "-c", `ulimit -f 64 && exec "$0" -test.run '^TestAFullDiskIsAPlainError$' -test.v`, os.Args[0])
		cmd.Env = append(os.Environ(), "STIXBRIDGE_TEST_FULL="+path)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "refused after 1 event") {
			t.Fatalf("%v\n%s", err, out)
		}
		s := build(t, path)
		deliver(t, s, bridgetest.Sample()[1:])
		if diff := cmp.Diff(seqs(bridgetest.Sample()), lines(t, path)); diff != "" {
			t.Error(diff)
		}
		return
	}
	path := os.Getenv("STIXBRIDGE_TEST_FULL")
	s := build(t, path)
	events := bridgetest.Sample()
	deliver(t, s, events[:1])
	for range 2 {
		if err := s.Deliver(t.Context(), events[1:]); err == nil || bridge.IsPermanent(err) {
			t.Fatalf("got %v", err)
		}
	}
	if n := len(lines(t, path)); n != 1 {
		t.Fatalf("%d lines", n)
	}
	t.Log("refused after", len(lines(t, path)), "event")
}

func TestAPipeIsWrittenWithoutRepair(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make(chan int)
	go func() {
		b := make([]byte, 1<<20)
		n := 0
		for n < 100 {
			m, err := r.Read(b)
			if err != nil {
				break
			}
			n += m
		}
		got <- n
	}()
	path := "/dev/fd/" + strconv.Itoa(int(w.Fd()))
	if _, err := os.Stat(path); err != nil {
		t.Skip("no /dev/fd here")
	}
	deliver(t, build(t, path), bridgetest.Sample()[:1])
	_ = w.Close()
	if n := <-got; n < 100 {
		t.Errorf("%d bytes came through", n)
	}
}

func TestProbeMakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	if err := build(t, path).Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the probe made the file")
	}
	if err := build(t, filepath.Join(path, "x")).Probe(t.Context()); err == nil {
		t.Error("a missing directory was not noticed")
	}
}

func BenchmarkDeliver(b *testing.B) {
	s := build(b, filepath.Join(b.TempDir(), "events.jsonl"))
	batch := make([]bridge.Event, 1000)
	for i := range batch {
		batch[i] = bridgetest.NewEvent(uint64(i+1), bridge.Create, bridgetest.Must(`{"type":"malware","spec_version":"2.1","id":"malware--00000001-0000-4000-8000-000000000001","name":"`+strings.Repeat("x", 800)+`"}`))
	}
	for b.Loop() {
		if err := s.Deliver(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(s.bytes / int64(b.N))
}

// TestKilledAtAnyMoment kills a process that appends, again and again. Each successor begins behind what its predecessor reported as delivered, as the
// runtime does; in the end every event is there and no line is torn.
func TestKilledAtAnyMoment(t *testing.T) {
	const events, size = 240, 8
	if path := os.Getenv("STIXBRIDGE_TEST_KILL"); path != "" {
		from, _ := strconv.Atoi(os.Getenv("STIXBRIDGE_TEST_FROM"))
		s := build(t, path)
		for ; from < events; from += size {
			batch := make([]bridge.Event, size)
			for i := range batch {
				n := from + i
				batch[i] = bridgetest.NewEvent(uint64(n+1), bridge.Create, bridgetest.Must(fmt.Sprintf(`{"type":"malware","id":"malware--%d","name":%q}`, n, strings.Repeat("x", n*37%9000))))
			}
			deliver(t, s, batch)
			fmt.Println("delivered", from+size)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "events.jsonl")
	delivered, kills := 0, 0
	for delivered < events {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledAtAnyMoment$")
		cmd.Env = append(os.Environ(), "STIXBRIDGE_TEST_KILL="+path, fmt.Sprint("STIXBRIDGE_TEST_FROM=", delivered))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for seen := 0; lines.Scan(); {
			if _, err := fmt.Sscanf(lines.Text(), "delivered %d", &delivered); err != nil {
				continue
			}
			if seen++; seen == 7 { // in the middle of the next batch
				_ = cmd.Process.Kill()
				kills++
			}
		}
		_ = cmd.Wait()
	}
	if kills < 3 {
		t.Fatalf("%d kills: the test proves nothing", kills)
	}
	s := build(t, path)
	if err := s.Start(t.Context(), bridge.Env{}); err != nil {
		t.Fatal(err)
	}
	there := map[uint64]bool{}
	for _, seq := range lines(t, path) {
		there[seq] = true
	}
	if len(there) != events {
		t.Errorf("%d events, want %d", len(there), events)
	}
}
