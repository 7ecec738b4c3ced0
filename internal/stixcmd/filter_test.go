package stixcmd

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func filter(t *testing.T, f func(io.Reader, io.Writer, io.Writer) error, in string) (out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	if err := f(strings.NewReader(in), &o, &e); err != nil {
		t.Fatal(err)
	}
	return o.String(), e.String()
}

func TestIDPrintsOneLinePerLine(t *testing.T) {
	long := `{"type":"text","value":"` + strings.Repeat("x", 600<<10) + `"}`
	in := `{"type":"domain-name","value":"example.org"}` + "\n\n" + `{"type":"text","value":"a` + "\u2028" + `b"}` + "\nnot json\n" + long + "\n" + `{"type":"process"}`
	out, errs := filter(t, ID, in)
	lines := strings.Split(out, "\n")
	if len(lines) != 7 || lines[0] != "domain-name--3500c14b-9bde-5393-b4e5-b260aea7e058" || lines[1] != "-" || !strings.HasPrefix(lines[2], "text--") ||
		lines[3] != "-" || !strings.HasPrefix(lines[4], "text--") || lines[5] != "-" || lines[6] != "" {
		t.Errorf("got %q", lines)
	}
	for _, want := range []string{"line 2: ", "line 4: ", "line 6: process: no deterministic id"} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is not in %q", want, errs)
		}
	}
	if out, errs := filter(t, ID, ""); out != "" || errs != "" {
		t.Errorf("empty input gave %q %q", out, errs)
	}
}

func TestSplitNamesWhatItDrops(t *testing.T) {
	out, errs := filter(t, Split, `{"type":"bundle","id":"bundle--1","objects":[{"type":"tool","id":"tool--1","created_by_ref":"identity--1"},{"type":"x-y","id":"x-y--1"},7,{"type":"identity","id":"identity--1"}]}`)
	want := `{"type":"bundle","id":"bundle--1","spec_version":"2.1","x_opencti_seq":1,"objects":[{"type":"identity","id":"identity--1","nb_deps":1}]}
{"type":"bundle","id":"bundle--1","spec_version":"2.1","x_opencti_seq":2,"objects":[{"type":"tool","id":"tool--1","created_by_ref":"identity--1","nb_deps":2}]}
`
	if out != want {
		t.Errorf("got %s", out)
	}
	wantErrs := "dropped element 2 at byte 136: not a JSON object\ndropped x-y--1: unsupported type x-y\n2 sent, 2 dropped\n"
	if errs != wantErrs {
		t.Errorf("got %q", errs)
	}
	if err := Split(strings.NewReader(`{"type":"bundle","objects":[`), io.Discard, io.Discard); err == nil {
		t.Error("a truncated bundle passed")
	}
}
