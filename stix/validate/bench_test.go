//go:build unix

package validate

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

const attack = "../../testdata/ics-attack.json.gz"

func bundle(tb testing.TB) (raw []byte, objects []json.RawMessage) {
	tb.Helper()
	f, err := os.Open(attack)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	if raw, err = io.ReadAll(z); err != nil {
		tb.Fatal(err)
	}
	var b struct{ Objects []json.RawMessage }
	if err := json.Unmarshal(raw, &b); err != nil {
		tb.Fatal(err)
	}
	return raw, b.Objects
}

// used is the processor time that this process has used, which other load does not distort.
func used(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func validateAll(tb testing.TB, objects []json.RawMessage) {
	for _, o := range objects {
		if errs := Raw(o); len(errs) > 0 {
			tb.Fatal(errs)
		}
	}
}

func BenchmarkBundle(b *testing.B) {
	raw, objects := bundle(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	start := used(b)
	for b.Loop() {
		validateAll(b, objects)
	}
	b.ReportMetric(float64(len(objects)*b.N)/(used(b)-start).Seconds(), "objects/cpu-s")
}

// TestBesideTheReferenceValidator prints the processor times for the same objects; both must find them valid.
func TestBesideTheReferenceValidator(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	python := testpeer.Python(t, "stix2-validator")
	out, err := exec.CommandContext(t.Context(), python, "testdata/speed.py", attack, "600").Output()
	if err != nil {
		t.Fatal(err)
	}
	var count, invalid int
	var seconds float64
	if err := json.Unmarshal(out, &[]any{&count, &invalid, &seconds}); err != nil {
		t.Fatal(err)
	}
	_, objects := bundle(t)
	if objects = objects[:count]; invalid != 0 {
		t.Errorf("the reference finds %d invalid objects", invalid)
	}
	const rounds = 5
	start := used(t)
	for range rounds {
		validateAll(t, objects)
	}
	ours := (used(t) - start).Seconds() / rounds
	t.Logf("%d objects: %.0f/s, the reference %.0f/s: %.0f times", count, float64(count)/ours, float64(count)/seconds, seconds/ours)
}
