package stix

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"testing"
)

// attack is the ATT&CK ICS bundle if it is at hand.
func attack(tb testing.TB) []byte {
	tb.Helper()
	for _, path := range []string{"../testdata/ics-attack.json.gz", "../../shared/data/stix21-attack-ics/ics-attack-18.1.json.gz"} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			tb.Fatal(err)
		}
		raw, err := io.ReadAll(z)
		if err != nil {
			tb.Fatal(err)
		}
		return raw
	}
	tb.Skip("the ATT&CK ICS bundle is not there")
	return nil
}

func BenchmarkRead(b *testing.B) {
	raw := attack(b)
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		b.Fatal(err)
	}
	for name, in := range map[string][]byte{"spaced": raw, "compact": compact.Bytes()} {
		b.Run(name+"/stix", func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				r := NewReader(bytes.NewReader(in))
				n := 0
				for {
					e, err := r.Next()
					if err == io.EOF {
						break
					}
					if err != nil || e.Err != nil {
						b.Fatal(err, e.Err)
					}
					n++
				}
				if n < 1000 {
					b.Fatal(n)
				}
			}
		})
		b.Run(name+"/encoding-json", func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				var bundle struct{ Objects []json.RawMessage }
				if err := json.Unmarshal(in, &bundle); err != nil {
					b.Fatal(err)
				}
				for _, raw := range bundle.Objects {
					var head struct {
						ID, Type, Modified, Created string
						Markings                    []string `json:"object_marking_refs"`
					}
					if err := json.Unmarshal(raw, &head); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func objects(tb testing.TB, raw []byte) (list []Object) {
	r := NewReader(bytes.NewReader(raw))
	for {
		e, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil || e.Err != nil {
			tb.Fatal(err, e.Err)
		}
		list = append(list, e.Object)
	}
}

func BenchmarkObject(b *testing.B) {
	list := objects(b, attack(b))
	var size int64
	for _, o := range list {
		size += int64(len(o.Raw()))
	}
	var m Markings
	for name, do := range map[string]func(o Object){
		"parse":  func(o Object) { _, _ = Parse(o.Raw()) },
		"digest": func(o Object) { o.Digest() },
		"tlp":    func(o Object) { m.TLP(o) },
		"flaws":  func(o Object) { o.Flaws() },
		"refs":   func(o Object) { o.Refs() },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				for _, o := range list {
					do(o)
				}
			}
		})
	}
}
