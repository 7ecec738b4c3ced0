package validate

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

// FuzzRaw checks that nothing panics and that errors are complete and bounded.
func FuzzRaw(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.Object))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, v := range []Validator{{}, {OpenCTI: true, Max: 3}} {
			errs := v.Raw(raw)
			if v.Max > 0 && len(errs) > v.Max || len(errs) > 100 {
				t.Fatalf("%d errors", len(errs))
			}
			for _, e := range errs {
				if e.Rule == "" || e.Section == "" || e.Message == "" || e.Pointer != "" && !strings.HasPrefix(e.Pointer, "/") {
					t.Fatalf("incomplete: %+v", e)
				}
			}
		}
	})
}

func BenchmarkBundle(b *testing.B) {
	f, err := os.Open("../../testdata/ics-attack.json.gz")
	if err != nil {
		b.Skip(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		b.Fatal(err)
	}
	var bundle struct{ Objects []json.RawMessage }
	if err := json.Unmarshal(raw, &bundle); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		for _, o := range bundle.Objects {
			if errs := Raw(o); len(errs) > 0 {
				b.Fatal(errs)
			}
		}
	}
	b.ReportMetric(float64(len(bundle.Objects)*b.N)/b.Elapsed().Seconds(), "objects/s")
}
