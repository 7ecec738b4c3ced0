package stix

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// sponge is an intake that takes everything at once and keeps nothing, but looks at memory now and then.
type sponge struct {
	cursor json.RawMessage
	n      int
	peak   uint64
}

func (s *sponge) Put(_ context.Context, c ...bridge.Change) error { s.n += len(c); return nil }
func (s *sponge) Commit(_ context.Context, c json.RawMessage) error {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	s.cursor, s.peak = c, max(s.peak, m.HeapAlloc)
	return nil
}
func (s *sponge) Cursor(context.Context) (json.RawMessage, error)       { return s.cursor, nil }
func (s *sponge) Reject(context.Context, bridge.Rejected) error         { return nil }
func (s *sponge) Learn(stix.Object)                                     {}
func (s *sponge) Prune(context.Context, func(string) bool) (int, error) { return 0, nil }
func (s *sponge) Gap(context.Context, bridge.Gap) error                 { return nil }
func (s *sponge) Progress(int64, int64, string)                         {}
func (s *sponge) Health(error)                                          {}

// large writes a bundle of n objects of about a kilobyte.
func large(t testing.TB, n int) (path string, size int64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "large.json")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprint(w, `{"type":"bundle","id":"bundle--1","objects":[`)
	text := strings.Repeat("some words ", 75)
	for i := range n {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, `{"type":"malware","spec_version":"2.1","id":"malware--%08x-0000-4000-8000-000000000000","modified":"2026-11-01T00:00:00.000Z","description":%q}`, i, text)
	}
	fmt.Fprint(w, "]}")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	st, _ := f.Stat()
	return path, st.Size()
}

func TestMemoryIsBoundedWhateverTheFile(t *testing.T) {
	path, size := large(t, 60_000)
	s := new(sponge)
	p, err := Plugin.Build(json.RawMessage(fmt.Sprintf(`{"path":%q}`, path)))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Produce(t.Context(), bridge.NewRun("x", s, nil, nil)); err != nil {
		t.Fatal(err)
	}
	if s.n != 60_000 {
		t.Fatalf("%d changes", s.n)
	}
	if s.peak > 16<<20 {
		t.Errorf("%d MiB live while reading a file of %d MiB, want 16 at most", s.peak>>20, size>>20)
	}
}

func BenchmarkProduce(b *testing.B) {
	path, size := large(b, 60_000)
	b.SetBytes(size)
	for b.Loop() {
		p, _ := Plugin.Build(json.RawMessage(fmt.Sprintf(`{"path":%q}`, path)))
		if err := p.Produce(b.Context(), bridge.NewRun("x", new(sponge), nil, nil)); err != nil {
			b.Fatal(err)
		}
	}
}
