package stix

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func gzipped(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t *testing.T, raw []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(raw, nil)
}

func TestOpenDecompressesByMagic(t *testing.T) {
	plain := []byte(`{"type":"x","id":"y"}`)
	for name, in := range map[string][]byte{
		"plain": plain, "gzip": gzipped(t, plain), "zstd": zstded(t, plain), "two gzip members": append(gzipped(t, plain[:5]), gzipped(t, plain[5:])...),
	} {
		r, err := Open(bytes.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, plain) || r.Close() != nil {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
	for _, in := range []string{"", "{", "\x1f"} {
		r, err := Open(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != in {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
}

func TestOpenStopsBombsAndBrokenInput(t *testing.T) {
	zeros := bytes.Repeat([]byte(" "), 8<<20)
	for name, in := range map[string][]byte{"gzip": gzipped(t, zeros), "zstd": zstded(t, zeros)} {
		for _, limit := range []Limit{{Bytes: 1 << 20}, {Ratio: 100, Grace: 1 << 20}} {
			r, err := limit.Open(bytes.NewReader(in))
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, r)
			if !errors.Is(err, ErrBomb) || n > 2<<20 {
				t.Errorf("%s %+v: %d bytes, %v", name, limit, n, err)
			}
		}
		r, err := Open(bytes.NewReader(in[:len(in)-3]))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err == nil {
			t.Errorf("%s: truncated input passed", name)
		}
	}
}

// endless is a bundle of many objects that is made while it is read.
type endless struct {
	left int
	buf  []byte
}

func (e *endless) Read(p []byte) (int, error) {
	for len(e.buf) == 0 {
		if e.left == 0 {
			return 0, io.EOF
		}
		e.left--
		sep := ","
		if e.left == 0 {
			sep = "]}"
		}
		e.buf = fmt.Appendf(e.buf[:0], `{"type":"indicator","id":"indicator--%d","name":%q}%s`, e.left, strings.Repeat("x", 1000), sep)
	}
	n := copy(p, e.buf)
	e.buf = e.buf[n:]
	return n, nil
}

func TestReaderNeedsMemoryForOneElementOnly(t *testing.T) {
	r := NewReader(io.MultiReader(strings.NewReader(`{"type":"bundle","objects":[`), &endless{left: 100_000}))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for ; ; n++ {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil || e.Err != nil {
			t.Fatal(err, e.Err)
		}
		if n == 90_000 {
			runtime.GC()
			runtime.ReadMemStats(&after)
		}
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); n != 100_000 || grown > 8<<20 {
		t.Errorf("%d elements, the heap grew by %d bytes over 90 MB of input", n, grown)
	}
}
