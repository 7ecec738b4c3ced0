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

func TestPatternPrintsWhatAPatternIsWorth(t *testing.T) {
	out, errs := filter(t, Pattern, `"[url:value = 'http://a/?x=1&y=<2>' OR autonomous-system:number = 5]"`+"\n"+`[ipv6-addr:value ISSUBSET '2001:db8::/32']`+"\n\n"+`[url:value LIKE 'x%']`+"\r\n")
	want := `{"syntax_ok":true,"extract":[{"type":"url","match":"eq","properties":{"value":"http://a/?x=1&y=<2>"}},{"type":"autonomous-system","match":"eq","properties":{"number":5}}]}
{"syntax_ok":true,"extract":[{"type":"ipv6-addr","match":"cidr","properties":{"value":"2001:db8::/32"}}]}
{"syntax_ok":false,"refuse":"syntax"}
{"syntax_ok":true,"refuse":"operator"}
`
	if out != want || errs != "line 3: 1:1: [ or ( must stand here, not the pattern's end\n" {
		t.Errorf("got %s %s", out, errs)
	}
}

func TestFmtKeepsTheNotation(t *testing.T) {
	out, errs := filter(t, Fmt, "[a:b=='<']\n\"[ a:b = 'x\\ny' ]\"\n{ \"type\":\"indicator\",\"id\":\"indicator--1\",\"pattern\":\"[a:b=1]\",\"pattern_type\":\"stix\" }\n{\"type\":\"tool\", \"id\":\"tool--1\"}\nbad\n")
	want := "[a:b = '<']\n\"[a:b = 'x\\ny']\"\n{\"type\":\"indicator\",\"id\":\"indicator--1\",\"pattern\":\"[a:b = 1]\",\"pattern_type\":\"stix\"}\n{\"type\":\"tool\",\"id\":\"tool--1\"}\nbad\n"
	if out != want || !strings.HasPrefix(errs, "line 5: ") {
		t.Errorf("got %s %s", out, errs)
	}
}

func TestValidatePrintsOneVerdictPerLine(t *testing.T) {
	out, _ := filter(t, Validate, `{"type":"mutex","id":"mutex--0bdfffc2-d6e5-5347-b3d4-7511e49cb982","name":"<m>"}`+"\n"+`{"type":"mutex","id":"mutex--0bdfffc2-d6e5-5347-b3d4-7511e49cb982"}`+"\nx\n")
	lines := strings.Split(out, "\n")
	if len(lines) != 4 || lines[0] != `{"valid":true,"errors":[]}` ||
		lines[1] != `{"valid":false,"errors":[{"pointer":"/name","rule":"required","section":"6.11","message":"name is required"}]}` ||
		!strings.HasPrefix(lines[2], `{"valid":false,"errors":[{"pointer":"","rule":"json"`) {
		t.Errorf("got %q", lines)
	}
}
