package pattern

import (
	"errors"
	"testing"

	"github.com/stixbridge/stixbridge/stix"
)

func parse(t *testing.T, raw string) stix.Object {
	t.Helper()
	o, err := stix.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestMatch(t *testing.T) {
	file := parse(t, `{"type":"file","id":"file--1","name":"it's.exe","size":5,"hashes":{"SHA-256":"ab"},"is_x":true,"list":[1,2.5,{"a":"z"}],"parent_directory_ref":"directory--1"}`)
	ip := parse(t, `{"type":"ipv4-addr","id":"ipv4-addr--1","value":"10.1.2.3","resolves_to_refs":["mac-addr--1"]}`)
	others := map[string]stix.Object{
		"directory--1": parse(t, `{"type":"directory","id":"directory--1","path":"C:\\x"}`),
		"mac-addr--1":  parse(t, `{"type":"mac-addr","id":"mac-addr--1","value":"00:11"}`),
	}
	resolve := func(id string) (stix.Object, bool) { o, ok := others[id]; return o, ok }
	for _, c := range []struct {
		pattern string
		object  stix.Object
		want    bool
	}{
		{`[file:name = 'it\'s.exe']`, file, true},
		{`[file:name != 'it\'s.exe']`, file, false},
		{`[file:name NOT = 'other']`, file, true},
		{`[file:missing NOT = 'other']`, file, false},
		{`[file:hashes.'SHA-256' = 'ab']`, file, true},
		{`[file:size > 4 AND file:size <= 5]`, file, true},
		{`[file:size = 5.0]`, file, true},
		{`[file:size = '5']`, file, false},
		{`[file:is_x = true]`, file, true},
		{`[file:list[*] = 2.5]`, file, true},
		{`[file:list[0] = 2.5]`, file, false},
		{`[file:list[*].a IN ('y', 'z')]`, file, true},
		{`[file:name LIKE 'it%.e_e']`, file, true},
		{`[file:name LIKE 'it']`, file, false},
		{`[file:name MATCHES '^it.*exe$']`, file, true},
		{`[EXISTS file:size]`, file, true},
		{`[NOT EXISTS file:size]`, file, false},
		{`[file:parent_directory_ref.path = 'C:\\x']`, file, true},
		{`[file:name = 'a'] OR [file:size = 5]`, file, true},
		{`[ipv4-addr:value ISSUBSET '10.0.0.0/8']`, ip, true},
		{`[ipv4-addr:value ISSUBSET '10.1.2.3']`, ip, true},
		{`[ipv4-addr:value ISSUBSET '11.0.0.0/8']`, ip, false},
		{`[ipv4-addr:value ISSUPERSET '10.1.2.3/32']`, ip, true},
		{`[ipv4-addr:resolves_to_refs[*].value = '00:11']`, ip, true},
		{`[domain-name:value = '10.1.2.3']`, ip, false},
	} {
		p, err := Parse(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Match(c.object, resolve); err != nil || got != c.want {
			t.Errorf("%s: got %v, %v", c.pattern, got, err)
		}
	}
	for _, in := range []string{`[a:b = 1] AND [a:c = 1]`, `[a:b = 1] REPEATS 2 TIMES`} {
		p, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Match(file, nil); !errors.Is(err, ErrNotSimple) {
			t.Errorf("%s: %v", in, err)
		}
	}
	p, err := Parse(`[file:name MATCHES '(']`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Match(file, nil); err == nil {
		t.Error("an unusable expression passed")
	}
}
