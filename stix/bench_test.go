//go:build unix

package stix

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"syscall"
	"testing"
	"time"
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

// used is the processor time that this process has used.
func used(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpu reports MB per second of processor time, or nanoseconds of it when size is 0: other
// load does not distort them.
func cpu(b *testing.B, size int64) func() {
	start := used(b)
	return func() {
		spent := used(b) - start
		if size == 0 {
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/op")
			return
		}
		b.ReportMetric(float64(size)*float64(b.N)/1e6/spent.Seconds(), "MB/cpu-s")
	}
}

// v1Head is what encoding/json is asked for in the place of the head.
type v1Head struct {
	ID, Type, Modified, Created string
	Markings                    []string `json:"object_marking_refs"`
}

// BenchmarkHead scans the heads of all objects of the bundle, in turns with encoding/json v1
// reading the same members of the same bytes, and says how many times faster it is.
func BenchmarkHead(b *testing.B) {
	list := objects(b, attack(b))
	var size int64
	for _, o := range list {
		size += int64(len(o.Raw()))
	}
	var ours, theirs time.Duration
	b.SetBytes(size)
	for b.Loop() {
		start := used(b)
		for _, o := range list {
			if _, err := Parse(o.Raw()); err != nil {
				b.Fatal(err)
			}
		}
		middle := used(b)
		for _, o := range list {
			var head v1Head
			if err := json.Unmarshal(o.Raw(), &head); err != nil {
				b.Fatal(err)
			}
		}
		ours += middle - start
		theirs += used(b) - middle
	}
	b.ReportMetric(float64(size)*float64(b.N)/1e6/ours.Seconds(), "MB/cpu-s")
	b.ReportMetric(float64(size)*float64(b.N)/1e6/theirs.Seconds(), "v1-MB/cpu-s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "times-v1")
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
			defer cpu(b, int64(len(in)))()
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
			defer cpu(b, int64(len(in)))()
			for b.Loop() {
				var bundle struct{ Objects []json.RawMessage }
				if err := json.Unmarshal(in, &bundle); err != nil {
					b.Fatal(err)
				}
				for _, raw := range bundle.Objects {
					var head v1Head
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
			defer cpu(b, size)()
			for b.Loop() {
				for _, o := range list {
					do(o)
				}
			}
		})
	}
}

func BenchmarkID(b *testing.B) {
	for name, raw := range map[string]string{
		"ipv4-addr":    `{"type":"ipv4-addr","spec_version":"2.1","value":"198.51.100.7","x_opencti_score":60,"object_marking_refs":["marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"]}`,
		"file":         `{"type":"file","hashes":{"MD5":"d41d8cd98f00b204e9800998ecf8427e","SHA-256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"name":"a.exe"}`,
		"indicator":    `{"type":"indicator","name":"n","pattern":"[ipv4-addr:value = '198.51.100.7']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00.000Z"}`,
		"relationship": `{"type":"relationship","relationship_type":"uses","source_ref":"malware--5705d0b1-baac-4aea-b7d0-c90e08d0142a","target_ref":"malware--5705d0b1-baac-4aea-b7d0-c90e08d0142b"}`,
	} {
		b.Run(name, func(b *testing.B) {
			in := []byte(raw)
			b.ReportAllocs()
			defer cpu(b, 0)()
			for b.Loop() {
				if _, err := ID(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSplit(b *testing.B) {
	list := objects(b, attack(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Split("", list, SplitOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
