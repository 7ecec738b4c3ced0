package validate

import (
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
