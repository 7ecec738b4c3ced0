package stix

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func object(n int) string {
	return fmt.Sprintf(`{"type":"indicator","id":"indicator--%d"}`, n)
}

// read lists what a reader returns: ids, "!" for malformed elements, the final error last.
func read(t *testing.T, src io.Reader, limit int) (list []string, r *Reader) {
	t.Helper()
	r = NewReader(src)
	r.Max = limit
	for {
		e, err := r.Next()
		if err == io.EOF {
			return list, r
		}
		if err != nil {
			return append(list, "error: "+err.Error()), r
		}
		if e.Index != len(list) {
			t.Errorf("element %d has index %d", len(list), e.Index)
		}
		if e.Err != nil {
			list = append(list, "! "+e.Err.Error())
			continue
		}
		list = append(list, e.Object.ID())
	}
}

func TestReaderTellsFormatsApart(t *testing.T) {
	one, two := object(1), object(2)
	ids := []string{"indicator--1", "indicator--2"}
	for _, c := range []struct {
		name, in, format, bundle string
		want                     []string
	}{
		{"bundle", `{"type":"bundle","id":"bundle--x","objects":[` + one + `,` + two + `]}`, "bundle", "bundle--x", ids},
		{"bundle whose type and id stand behind", `{"objects":[` + one + `,` + two + `],"id":"bundle--x","type":"bundle"}`, "bundle", "bundle--x", ids},
		{"bundle with other members", `{"x":{"objects":[1]},"type":"bundle","objects":[` + one + "\n,\n" + two + `] , "y":[{}] }` + "\n", "bundle", "", ids},
		{"empty bundle", `{"type":"bundle","id":"bundle--x"}`, "bundle", "bundle--x", nil},
		{"empty list", `{"type":"bundle","objects":[ ]}`, "bundle", "", nil},
		{"envelope", `{"more":true,"next":"n","objects":[` + one + `,` + two + `]}`, "envelope", "", ids},
		{"envelope without objects", `{"more":false}`, "envelope", "", nil},
		{"empty envelope", " {} ", "envelope", "", nil},
		{"array", `[` + one + `,` + two + `]`, "array", "", ids},
		{"empty array", `[]`, "array", "", nil},
		{"lines", one + "\n" + two + "\n", "lines", "", ids},
		{"lines without a last line feed", one + "\r\n\r\n" + two, "lines", "", ids},
		{"byte order mark", "\xef\xbb\xbf" + one + "\n" + two, "lines", "", ids},
		{"object", one, "object", "", ids[:1]},
		{"object over several lines", strings.ReplaceAll(one, ",", ",\n"), "object", "", ids[:1]},
		{"a line separator within a string", `{"type":"note","id":"indicator--1","x":"` + "\u2028\u0085" + `"}` + "\n" + two, "lines", "", ids},
		{"lines of bundles", `{"type":"bundle","objects":[` + one + `]}` + "\n" + `{"type":"bundle","objects":[` + two + "]}\n", "lines", "", ids},
		{"lines of envelopes behind an object", one + "\n" + `{"more":false,"objects":[` + two + "]}\n", "lines", "", ids},
		{"observed data with its dictionary of objects", `{"objects":{"0":{}},"type":"observed-data","id":"indicator--1"}`, "object", "", ids[:1]},
	} {
		t.Run(c.name, func(t *testing.T) {
			for kind, src := range map[string]io.Reader{
				"whole":        strings.NewReader(c.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(c.in)),
				"late EOF":     iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				got, r := read(t, src, 0)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%s: %s", kind, diff)
				}
				if r.Format() != c.format || r.Bundle() != c.bundle {
					t.Errorf("%s: format %q bundle %q, want %q %q", kind, r.Format(), r.Bundle(), c.format, c.bundle)
				}
			}
		})
	}
}

func TestReaderGoesOnBehindAMalformedElement(t *testing.T) {
	bad := []string{
		`1`, `null`, `"x"`, `[{}]`, `{}`,
		`{"type":"indicator"}`, `{"id":"indicator--1"}`,
		`{"type":"Indicator","id":"indicator--1"}`, `{"type":"a.b","id":"x"}`, `{"type":7,"id":"x"}`,
		`{"type":"indicator","id":7}`, `{"type":"indicator","id":""}`, `{"type":"indicator","id":"a\nb"}`,
		`{"type":"indicator","id":"\ud800"}`,
		`{"type":"bundle","id":"bundle--1","objects":[]}`,
		"{\"type\":\"indicator\",\"id\":\"x\",\"name\":\"\xff\"}",
		`{"type":"x","id":"x","a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`,
		`{"type":"x","id":"x","a":"` + strings.Repeat("]}\\\"", 3000) + `"}`,
	}
	var all []string
	for i, b := range bad {
		all = append(all, object(i), b)
	}
	for name, in := range map[string]string{
		"array":  "[" + strings.Join(all, ",") + "]",
		"bundle": `{"type":"bundle","objects":[` + strings.Join(all, "\n,") + "]}",
		"lines":  strings.Join(all, "\n"),
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := read(t, iotest.HalfReader(strings.NewReader(in)), 8000)
			want := len(bad)
			if name == "lines" {
				want-- // a bundle in a line is read
			}
			if strings.HasPrefix(got[len(got)-1], "error") {
				t.Fatal(got[len(got)-1])
			}
			good, malformed := 0, 0
			for _, s := range got {
				if s[0] == '!' {
					malformed++
					t.Log(s)
				} else {
					good++
				}
			}
			if good != 18 || malformed != want {
				t.Errorf("%d good and %d malformed, want 18 and %d", good, malformed, want)
			}
		})
	}
}

func TestReaderSaysWhereItHadToStop(t *testing.T) {
	one := object(1)
	for _, c := range []struct {
		name, in string
		good     int
		index    int
		offset   int64
	}{
		{"empty", "", 0, -1, 0},
		{"blank", " \n ", 0, -1, 3},
		{"truncated between elements", `[` + one, 1, 1, 1 + 40},
		{"truncated within an element", `[` + one + `,{"type":"ind`, 1, 1, 41 + 13},
		{"truncated behind the list", `{"objects":[` + one + `]`, 1, 1, 12 + 40 + 1},
		{"a comma too many", `[` + one + `,]`, 1, 1, 42},
		{"a comma too few", `[` + one + one + `]`, 1, 1, 41},
		{"syntax within an element", `[` + one + `,{"type" "x"}]`, 1, 1, 42 + 8},
		{"control character in a string", "[{\"type\":\"x\n\"}]", 0, 0, 11},
		{"data behind", `[` + one + `] x`, 1, -1, 43},
		{"no STIX at all", `{"title":"Unauthorized"}`, 0, -1, 0},
		{"HTML", "<html>\n<body>", 0, -1, 0},
		{"a number", "12", 0, -1, 0},
		{"last line torn", one + "\n" + one[:20], 1, 1, 41 + 20},
		{"truncated bundle", "{\n\"type\":\"bundle\",\n", 0, -1, 19},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReader(iotest.OneByteReader(strings.NewReader(c.in)))
			good := 0
			for {
				e, err := r.Next()
				if err == nil {
					if e.Err != nil {
						t.Fatal(e.Err)
					}
					good++
					continue
				}
				var at *SyntaxError
				if !errors.As(err, &at) {
					t.Fatalf("got %v", err)
				}
				if at.Offset != c.offset || at.Index != c.index || good != c.good {
					t.Errorf("got %d elements, then %v (index %d), want %d, then byte %d, index %d", good, err, at.Index, c.good, c.offset, c.index)
				}
				if _, again := r.Next(); again != err {
					t.Errorf("the next call returned %v", again)
				}
				return
			}
		})
	}
}

func TestBadLinesAreElements(t *testing.T) {
	in := "garbage\n" + object(1) + "\n{\"type\":\n" + object(2) + " x\n[1]\n{}\n" + object(3) + "\n"
	got, r := read(t, strings.NewReader(in), 0)
	var good []string
	for _, s := range got {
		if s[0] != '!' {
			good = append(good, s)
		}
	}
	if diff := cmp.Diff([]string{"indicator--1", "indicator--3"}, good); diff != "" || len(got) != 7 || r.Format() != "lines" {
		t.Errorf("%s %q", diff, got)
	}
}

func TestReaderPassesOnReadErrors(t *testing.T) {
	cause := errors.New("connection reset")
	for _, in := range []string{"", "[", "[" + object(1), object(1), object(1) + "\n" + object(2), "{", "[]"} {
		r := NewReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(cause)))
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, cause) {
			t.Errorf("%q: got %v", in, err)
		}
	}
}

func TestElementsMayBeKept(t *testing.T) {
	var in bytes.Buffer
	in.WriteString("[")
	for i := range 20000 {
		if i > 0 {
			in.WriteString(", ")
		}
		fmt.Fprintf(&in, `{"type":"indicator","id":"indicator--%d","name":"%d","a":[]}`, i, i)
	}
	in.WriteString("]")
	r := NewReader(&in)
	var kept []Element
	for {
		e, err := r.Next()
		if err != nil {
			break
		}
		kept = append(kept, e)
	}
	if len(kept) != 20000 {
		t.Fatalf("%d elements", len(kept))
	}
	for i, e := range kept {
		if want := fmt.Sprintf(`{"type":"indicator","id":"indicator--%d","name":"%d","a":[]}`, i, i); string(e.Raw) != want || e.Object.ID() != fmt.Sprintf("indicator--%d", i) {
			t.Fatalf("%d: %s %s", i, e.Raw, e.Object.ID())
		}
	}
}

// trickle gives small pieces, as a slow connection does.
type trickle struct{ r io.Reader }

func (t trickle) Read(p []byte) (int, error) { return t.r.Read(p[:min(len(p), 1000)]) }

func TestLargeElementsInSmallPiecesAreReadInLinearTime(t *testing.T) {
	big := `{"type":"note","id":"note--1","content":"` + strings.Repeat("x", 20<<20) + `"}`
	in := `{"type":"bundle","objects":[` + big + "," + object(1) + "," + big + "]}"
	start := time.Now()
	got, _ := read(t, trickle{strings.NewReader(in)}, 0)
	if diff := cmp.Diff([]string{"note--1", "indicator--1", "note--1"}, got); diff != "" {
		t.Error(diff)
	}
	// 40,000 reads: scanning from the start at each would take minutes.
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}
