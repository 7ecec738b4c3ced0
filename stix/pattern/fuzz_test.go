package pattern

import "testing"

// FuzzParse checks that what parses has a usual form that means the same.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Pattern)
	}
	f.Add("([a:b[*].'c-d' NOT IN (1, h'00', t'2024-01-01T00:00:00Z')] WITHIN 5 SECONDS) FOLLOWEDBY [EXISTS a:b] /* x */")
	f.Fuzz(func(t *testing.T, src string) {
		p, err := Parse(src)
		if err != nil {
			return
		}
		text := p.String()
		q, err := Parse(text)
		if err != nil || q.String() != text {
			t.Fatalf("%q became %q: %v", src, text, err)
		}
		a, errA := p.Extract()
		b, errB := q.Extract()
		if (errA == nil) != (errB == nil) || len(a) != len(b) || errA != nil && errA.Error() != errB.Error() {
			t.Fatalf("%q and %q mean different things: %v %v, %v %v", src, text, a, errA, b, errB)
		}
		if (p.Check() == nil) != (q.Check() == nil) {
			t.Fatalf("%q and %q are not equally good", src, text)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	const src = "[file:hashes.'SHA-256' = 'bf07a7fbb825fc0aae7bf4a1177b2b31fcf8a3feeaf7092761e18c859ee52a9c']"
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(src); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExtract(b *testing.B) {
	const src = "[file:hashes.'SHA-256' = 'bf07a7fbb825fc0aae7bf4a1177b2b31fcf8a3feeaf7092761e18c859ee52a9c']"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Extract(src); err != nil {
			b.Fatal(err)
		}
	}
}
