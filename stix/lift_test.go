package stix

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLift(t *testing.T) {
	const head = `"id":"x--1","created":"2020-01-01T00:00:00.000Z","modified":"2020-01-01T00:00:00.000Z"`
	for _, c := range []struct{ name, in, want string }{
		{"malware becomes a family", `{"type":"malware",` + head + `,"name":"m","labels":["malware","trojan","mine"]}`,
			`{"type":"malware","spec_version":"2.1",` + head + `,"name":"m","labels":["mine"],"malware_types":["trojan"],"is_family":true}`},
		{"labels that repeat the type go", `{"type":"tool",` + head + `,"labels":["tool"]}`, `{"type":"tool","spec_version":"2.1",` + head + `}`},
		{"a pattern becomes a STIX pattern", `{"type":"indicator",` + head + `,"pattern":"[a:b = 1]","labels":["malicious-activity"]}`,
			`{"type":"indicator","spec_version":"2.1",` + head + `,"pattern":"[a:b = 1]","indicator_types":["malicious-activity"],"pattern_type":"stix"}`},
		{"a class in a list", `{"type":"identity",` + head + `,"identity_class":["unknown"]}`, `{"type":"identity","spec_version":"2.1",` + head + `,"identity_class":"unknown"}`},
		{"2.1 stays", `{"type":"malware","spec_version":"2.1",` + head + `,"labels":["trojan"]}`, `{"type":"malware","spec_version":"2.1",` + head + `,"labels":["trojan"]}`},
		{"observables stay", `{"type":"ipv4-addr","id":"x--1","value":"10.0.0.1"}`, `{"type":"ipv4-addr","id":"x--1","value":"10.0.0.1"}`},
		{"unknown properties stay", `{"type":"x-y",` + head + `,"n":1.50}`, `{"type":"x-y","spec_version":"2.1",` + head + `,"n":1.50}`},
	} {
		got, err := Lift(mustParse(t, c.in))
		if err != nil || len(got) != 1 || string(got[0].Raw()) != c.want {
			t.Errorf("%s: %v\n got %v\nwant %s", c.name, err, got, c.want)
		}
	}
}

func TestLiftGivesObservablesTheirOwnIDs(t *testing.T) {
	in := `{"type":"observed-data","id":"observed-data--1","created":"2020-01-01T00:00:00.000Z","modified":"2020-01-01T00:00:00.000Z","number_observed":1,"objects":{
		"0":{"type":"file","name":"a.exe","created":"2020-01-01T00:00:00Z","parent_directory_ref":"1","extensions":{"archive-ext":{"contains_refs":["2"]}}},
		"1":{"type":"directory","path":"C:\\"},
		"2":{"type":"file","name":"b"},
		"3":{"type":"process","name":"p","pid":4,"binary_ref":"0"}}}`
	got, err := Lift(mustParse(t, in))
	if err != nil || len(got) != 5 {
		t.Fatal(got, err)
	}
	byType := map[string]Object{}
	for _, o := range got {
		if o.Text("name") != "b" {
			byType[o.Type()] = o
		}
		if o.Type() != "observed-data" && o.Type() != "process" {
			if id, err := o.DeterministicID(); err != nil || id != o.ID() {
				t.Errorf("%s has not its deterministic id: %v", o.Raw(), err)
			}
		}
	}
	file, process := byType["file"], byType["process"]
	if file.Text("parent_directory_ref") != byType["directory"].ID() || file.Text("ctime") == "" || !strings.HasPrefix(file.Text("extensions", "archive-ext", "contains_refs", "0"), "file--") {
		t.Errorf("got %s", file.Raw())
	}
	if process.Text("image_ref") != file.ID() || process.ID()[len("process--")+14] != '4' {
		t.Errorf("got %s", process.Raw())
	}
	refs, _ := got[0].Get("object_refs")
	if n := strings.Count(string(refs), "--"); n != 4 {
		t.Errorf("got %s", got[0].Raw())
	}
	again, err := Lift(mustParse(t, in))
	if err != nil || !cmp.Equal(got, again) {
		t.Error("lifting twice gives different objects")
	}
	for name, objects := range map[string]string{"a cycle": `{"0":{"type":"file","name":"a","parent_directory_ref":"0"}}`, "nothing there": `{"0":{"type":"file","name":"a","content_ref":"9"}}`, "no type": `{"0":{}}`} {
		bad := mustParse(t, `{"type":"observed-data","id":"observed-data--1","created":"2020-01-01T00:00:00.000Z","objects":`+objects+`}`)
		if got, err := Lift(bad); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestLiftedATTACKEqualsThe21Edition(t *testing.T) {
	const dir = "../../shared/data/"
	read := func(path string) map[string]Object {
		f, err := os.Open(dir + path)
		if err != nil {
			t.Skipf("the data are not beside the project: %v", err)
		}
		defer f.Close()
		opened, err := Open(f)
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]Object{}
		r := NewReader(opened)
		for {
			e, err := r.Next()
			if err != nil {
				return m
			}
			m[e.Object.ID()] = e.Object
		}
	}
	old, new := read("stix20-attack-enterprise/enterprise-attack-18.1.stix20.json.gz"), read("stix21-attack-ics/ics-attack-18.1.json.gz")
	shared, equal := 0, 0
	for id, o := range old {
		lifted, err := Lift(o)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if p, ok := new[id]; ok {
			shared++
			if p.Equal(lifted[0]) {
				equal++
			} else if changed := Changed(p, lifted[0]); !cmp.Equal(changed, []string{"x_mitre_domains"}) {
				t.Errorf("%s: %v", id, Changes(p, lifted[0]))
			}
		}
	}
	if shared != 108 || equal != 107 {
		t.Errorf("%d of %d shared objects are equal", equal, shared)
	}
}
