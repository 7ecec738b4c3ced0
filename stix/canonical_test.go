package stix

import (
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/gowebpki/jcs"
)

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"b":1,"a":[ 3, 2 ]}`, `{"a":[3,2],"b":1}`},
		{`[0,0.0,-0.0,48.0,1e21,1e20,1e-6,1e-7,12345678901234567890,-1.5E+3]`, `[0,0,0,48,1e+21,100000000000000000000,0.000001,1e-7,12345678901234567000,-1500]`},
		{`"\u0041\/\u2028\u007f<>&\u0007\n\b\f\r\t\"\\"`, "\"A/\u2028\u007f<>&\\u0007\\n\\b\\f\\r\\t\\\"\\\\\""},
		{`{"\uff61":1,"\ud83d\ude00":2,"\ue000":3,"\ud7ff":4}`, "{\"\ud7ff\":4,\"😀\":2,\"\ue000\":3,\"\uff61\":1}"},
		{`{"aa":1,"a":2,"":3}`, `{"":3,"a":2,"aa":1}`},
		{`true`, `true`}, {`1`, `1`}, {`{}`, `{}`}, {` [] `, `[]`},
	} {
		got, err := Canonical([]byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", c.in, err, got, c.want)
		}
	}
	for _, in := range []string{`"\ud800"`, `{"\ude00":1}`, `{"a":1,"\u0061":2}`, `[1e400]`} {
		if got, err := Canonical([]byte(in)); !errors.Is(err, ErrNoCanonical) {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
}

func TestCanonicalNumbersAgreeWithTheReferenceLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200000 {
		x := math.Float64frombits(random.Uint64())
		if math.IsNaN(x) || math.IsInf(x, 0) {
			continue
		}
		if random.IntN(2) == 0 {
			x = float64(random.Int64N(1<<53)) / math.Pow10(random.IntN(30))
		}
		want, err := jcs.NumberToJSON(x)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(appendDouble(nil, x)); got != want {
			t.Fatalf("%s: got %s, want %s", strconv.FormatFloat(x, 'g', -1, 64), got, want)
		}
	}
}
