package where

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/stix"
)

const indicator = `{"type":"indicator","spec_version":"2.1","id":"indicator--3f0b0f0e-9a63-5f6b-8c7d-2f2f5b7a1c01","created":"2026-11-20T10:00:00.000Z",` +
	`"modified":"2026-11-20T10:00:01.120Z","created_by_ref":"identity--1c8a6f0e-2f1b-5a3e-8e2b-9d0c1b2a3f01","revoked":false,"confidence":80,` +
	`"labels":["c2","apt28"],"name":"198.51.100.7","description":"Seen in beaconing","pattern":"[ipv4-addr:value = '198.51.100.7']","pattern_type":"stix",` +
	`"valid_from":"2026-11-20T10:00:00.000Z","kill_chain_phases":[{"kill_chain_name":"mitre-attack","phase_name":"command-and-control"}],` +
	`"x_list":[1,2.5,"a",null],"x_map":{"a":{"b":[10,20]}},"x_null":null,"x-odd name":"odd","x_text":"Gr\u00fc\u00df","x_big":123456789012345678901,` +
	`"extensions":{"extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba":{"extension_type":"property-extension","id":"0b1f7c52-6d1e-4f0a-9a6b-5a3f2f3c1d01",` +
	`"type":"Indicator","created_at":"2026-11-20T10:00:01.120Z","updated_at":"2026-11-20T10:00:01.120Z","is_inferred":false,` +
	`"creator_ids":["88ec0c6a-13ce-5e39-b486-354fe4a7084f"],"detection":true,"score":85,"main_observable_type":"IPv4-Addr"}}}`

const bare = `{"type":"indicator","id":"indicator--3f0b0f0e-9a63-5f6b-8c7d-2f2f5b7a1c02"}`

const observable = `{"type":"ipv4-addr","id":"ipv4-addr--3f0b0f0e-9a63-5f6b-8c7d-2f2f5b7a1c03","value":"198.51.100.7","x_opencti_labels":["old"],"extensions":{` +
	`"extension-definition--f93e2c80-4231-4f9a-af8b-95c9bd566a82":{"score":60,"labels":["seen"],"created_by_ref":"identity--1c8a6f0e-2f1b-5a3e-8e2b-9d0c1b2a3f01"}}}`

const legacy = `{"type":"indicator","id":"indicator--3f0b0f0e-9a63-5f6b-8c7d-2f2f5b7a1c04","x_opencti_score":40,"confidence":"high","labels":"c2","name":5}`

func object(t testing.TB, text string) stix.Object {
	t.Helper()
	o, err := stix.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func vars() Vars {
	return Vars{Op: "update", Producer: "attack", TLP: stix.Green, Resolve: func(ref string) (stix.Object, bool) {
		if ref != "identity--1c8a6f0e-2f1b-5a3e-8e2b-9d0c1b2a3f01" {
			return stix.Object{}, false
		}
		o, err := stix.Parse([]byte(`{"type":"identity","id":"` + ref + `","name":"ACME"}`))
		return o, err == nil
	}}
}

func TestExpressionsDecide(t *testing.T) {
	objects := map[string]string{"full": indicator, "bare": bare, "sco": observable, "legacy": legacy}
	for _, c := range []struct {
		on, source string
		want       string // pass, no, missing (does not pass, and something was missing), pass+ (passes, something was missing), error
	}{
		{"full", `score() >= 70`, "pass"},
		{"full", `score() >= 90`, "no"},
		{"bare", `score() >= 70`, "missing"},
		{"bare", `score() < 70`, "missing"},
		{"bare", `not (score() >= 70)`, "pass+"},
		{"sco", `score() == 60`, "pass"},
		{"legacy", `score() == 40`, "pass"},
		{"full", `type == "indicator" and confidence > 75`, "pass"},
		{"bare", `type == "malware" or confidence > 75`, "missing"},
		{"bare", `type == "indicator" or confidence > 75`, "pass"},
		{"full", `confidence > 75 && !revoked`, "pass"},
		{"bare", `not revoked`, "pass+"},
		{"bare", `revoked`, "missing"},
		{"legacy", `confidence > 50`, "missing"},
		{"legacy", `name == "x"`, "no"},
		{"legacy", `name contains "x"`, "missing"},
		{"full", `name != "x"`, "pass"},
		{"bare", `name != "x"`, "missing"},
		{"bare", `name == nil`, "pass"},
		{"full", `name == nil`, "no"},
		{"full", `nil != name`, "pass"},
		{"full", `has(name) and has("x-odd name") and not has(x_null)`, "pass"},
		{"full", `object["x-odd name"] == "odd"`, "pass"},
		{"full", `x_null == 5`, "missing"},
		{"full", `(x_none ?? 7) == 7`, "pass"},

		{"full", `"apt28" in labels()`, "pass"},
		{"full", `"apt29" in labels()`, "no"},
		{"bare", `"apt29" in labels()`, "no"},
		{"bare", `"apt29" in labels`, "missing"},
		{"bare", `"apt29" not in labels`, "missing"},
		{"full", `"apt29" not in labels`, "pass"},
		{"bare", `not ("apt29" in labels)`, "pass+"},
		{"sco", `labels() == ["seen"]`, "pass"},
		{"sco", `len(labels()) == 1`, "pass"},
		{"bare", `len(labels()) == 0`, "pass"},
		{"bare", `len(labels) == 0`, "missing"},
		{"full", `any(labels(), # startsWith "apt")`, "pass"},
		{"bare", `any(labels, # startsWith "apt")`, "missing"},
		{"legacy", `any(labels, # startsWith "c")`, "missing"},
		{"full", `all(labels, len(#) >= 2)`, "pass"},
		{"full", `count(labels, # matches "^apt[0-9]+$") == 1`, "pass"},
		{"full", `labels() | filter(# != "c2") | len() == 1`, "pass"},
		{"full", `any(kill_chain_phases, .phase_name == "command-and-control")`, "pass"},
		{"full", `any(kill_chain_phases, .nothing == "x")`, "missing"},
		{"full", `kill_chain_phases[0].kill_chain_name == "mitre-attack"`, "pass"},
		{"full", `kill_chain_phases[7].kill_chain_name == "mitre-attack"`, "missing"},
		{"full", `x_map.a.b[-1] == 20 and x_map["a"].b[0] == 10 and x_map?.z?.y == nil`, "pass"},
		{"full", `x_list[1] == 2.5 and x_list[0] == 1 and "a" in x_list and 2.5 in x_list`, "pass"},
		{"full", `x_list[1:2] == [2.5]`, "pass"},
		{"full", `name in ["x", "198.51.100.7"]`, "pass"},
		{"full", `confidence in [10, 80]`, "pass"},
		{"full", `confidence in 75..85`, "pass"},
		{"full", `x_text == "Grüß" and upper(x_text) != "x" and lower("ABC") == "abc"`, "pass"},
		{"full", `x_big > 1000`, "pass"},

		{"full", `confidence + 10 > 85 and confidence - 10 == 70 and confidence * 2 == 160 and confidence / 3 > 26.6 and confidence % 7 == 3 and 2 ** 3 == 8`, "pass"},
		{"bare", `confidence + 10 > 85`, "missing"},
		{"bare", `confidence + 10 > 85 or type == "indicator"`, "pass+"},
		{"bare", `-confidence < 0`, "missing"},
		{"full", `confidence / 0 > 1 or confidence % 0 == 1`, "missing"},
		{"full", `name + "x" == "198.51.100.7x"`, "pass"},
		{"bare", `lower(name) == "x"`, "missing"},
		{"legacy", `lower(name) == "x"`, "missing"},
		{"full", `let n = lower(pattern); n contains "198." and n startsWith "["`, "pass"},
		{"full", `confidence > 50 ? name startsWith "198" : false`, "pass"},
		{"full", `x_odd.a > 5 ? true : revoked`, "missing"},

		{"full", `tlp <= "green" and tlp() == "TLP:GREEN" and tlp < "amber+strict" and tlp != "clear"`, "pass"},
		{"full", `tlp in ["clear", "TLP:GREEN"]`, "pass"},
		{"full", `tlp > "green"`, "no"},
		{"full", `op == "update" and producer == "attack" and op in ["create", "update"]`, "pass"},
		{"full", `id startsWith "indicator--"`, "pass"},

		{"full", `author() == "ACME" and author() == "identity--1c8a6f0e-2f1b-5a3e-8e2b-9d0c1b2a3f01"`, "pass"},
		{"sco", `author() in ["ACME", "other"] and author() startsWith "AC" and lower(author()) == "acme"`, "pass"},
		{"bare", `author() == "ACME"`, "missing"},
		{"full", `author() != "ACME"`, "no"},

		{"full", `valid_from > date("2026-01-01")`, "pass"},
		{"full", `date(modified) - date(created) < duration("2s")`, "pass"},
		{"bare", `valid_from > date("2026-01-01")`, "missing"},
		{"legacy", `date(name) > date("2026-01-01")`, "missing"},
		{"full", `sum(x_map.a.b) == 30 and max(x_map.a.b) == 20`, "pass"},
		{"full", `sum(labels) == 30`, "error"},
		{"full", `any(1..9999, any(1..9999, # == -1))`, "error"},
		{"full", `type(name) == "string" and type(confidence) == "int"`, "pass"},
		{"bare", `type(name) == "nil"`, "pass"},
		{"full", `toJSON(x_map) contains "10"`, "pass"},
		{"full", `true`, "pass"},
	} {
		t.Run(c.on+" "+c.source, func(t *testing.T) {
			p, err := Compile(c.source)
			if err != nil {
				t.Fatal(err)
			}
			o := object(t, objects[c.on])
			for round := range 2 { // the second one uses the state of the first
				if got := outcome(p.Eval(o, vars())); got != c.want {
					t.Errorf("round %d: got %s, want %s", round, got, c.want)
				}
			}
		})
	}
}

func outcome(pass, missing bool, err error) string {
	switch {
	case err != nil && pass:
		return "passes with an error: " + err.Error()
	case err != nil:
		return "error"
	case pass && missing:
		return "pass+"
	case pass:
		return "pass"
	case missing:
		return "missing"
	}
	return "no"
}

func TestWrongExpressionsNamePlaceAndRemedy(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"", "at character 1: the expression is empty; write a condition such as score() >= 70"},
		{"score( >= 70", `at character 8: unexpected token Operator(">="); check quotes, brackets and operators`},
		{"scores() >= 70", "at character 1: unknown function scores(); did you mean score()?"},
		{"score() >= ", "at character 11: unexpected token EOF; something is missing at the end"},
		{"score() = 70", `at character 9: unexpected token Operator("="); write == to compare`},
		{"score(1) >= 70", "at character 1: score() takes nothing between its brackets; remove it"},
		{`score() >= "70"`, `at character 9: score() is a number and "70" is text; write 70`},
		{`score() >= "high"`, `at character 9: score() is a number and "high" is text; compare a number with a number`},
		{"score()", "at character 1: score() is a number, not true or false; compare it with something"},
		{"not score()", "at character 5: score() is a number, not true or false; compare it with something"},
		{`type == "indicator" AND revoked`, `at character 21: unexpected token Identifier("AND"); write and, or, not in lower case`},
		{`type == "indicator" and name`, "at character 25: name is text, not true or false; compare it with something"},
		{`labels() contains "apt"`, `at character 10: labels() is a list; write "apt" in labels(), or any(labels(), # contains "apt")`},
		{`labels == "apt"`, `at character 8: labels is a list; write "apt" in labels, or len(labels)`},
		{`"apt" in name`, `at character 7: name is text, not a list; write name contains "apt"`},
		{`name in []`, "at character 9: the list is empty, so nothing is in it; name something"},
		{`confidence contains "8"`, "at character 12: confidence is a number, not text; write == to compare"},
		{`tlp <= "pink"`, `at character 8: "pink" is no TLP level; write clear, green, amber, amber+strict, red or unmarked`},
		{`tlp in ["green", "pink"]`, `at character 18: "pink" is no TLP level; write clear, green, amber, amber+strict, red or unmarked`},
		{`op == "created"`, `at character 7: there is no operation "created"; did you mean "create"?`},
		{`op == "x"`, `at character 7: there is no operation "x"; known are create, update, delete, merge, expire, retract`},
		{`name matches "("`, "at character 6: error parsing regexp: missing closing ): `(`; mend the pattern (RE2 syntax)"},
		{`name matches pattern`, `at character 14: matches wants a pattern in quotes; write name matches "^x"`},
		{`name like "x"`, `at character 6: unexpected token Identifier("like"); write name contains "x", or name matches "^x"`},
		{`valid_until > now()`, "at character 15: now() is not available: the answer would change without an event; use valid_until and expiry instead"},
		{`repeat("x", 9) == name`, "at character 1: repeat() is not available in gates; write the text itself"},
		{`$env.name == "x"`, `at character 1: $env is not available; write the name of a property, or object["name"]`},
		{`object == 5`, `at character 1: object stands for no value; write the name of a property, or object["name"]`},
		{`object[name] == 5`, `at character 7: object[…] wants the name of a property in quotes; write object["x_foo"]`},
		{`name.lower() == "x"`, "at character 6: only functions can be called; write score(), not a.score()"},
		{`revoked > 5`, "at character 9: revoked is true or false and 5 is a number; they cannot be compared"},
		{`lower() == "x"`, "at character 1: not enough arguments to call lower; check quotes, brackets and operators"},
		{`lower(5) == "x"`, "at character 7: cannot use int as argument (type string) to call lower; check quotes, brackets and operators"},
		{`"x`, "at character 3: literal not terminated; close the quote"},
		{`let name = 5; name > 3`, "at character 5: name is a property; choose another name for the variable"},
		{`has()`, "at character 1: has() takes one property; write has(name)"},
		{`((((`, "at character 4: unexpected token EOF; something is missing at the end"},
		{strings.Repeat("x", maxSource+1), "at character 1: the expression has 8193 bytes; write at most 8192"},
		{strings.Repeat("!", 3000) + "x", "at character 3001: compilation failed: expression exceeds maximum allowed nodes; write a shorter one"},
		{"a == 1\n and scores() > 5", "at character 13: unknown function scores(); did you mean score()?"},
	} {
		_, err := Compile(c.source)
		if err == nil {
			t.Errorf("%.60q compiles", c.source)
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Col < 1 || e.Column() != e.Col {
			t.Errorf("%.60q: no place in %#v", c.source, err)
		}
		if err.Error() != c.want {
			t.Errorf("%.60q\n got %s\nwant %s", c.source, err, c.want)
		}
	}
}

func TestNeedsNamesEveryMemberThatIsRead(t *testing.T) {
	for source, want := range map[string][]string{
		`score() >= 70`:                            {"extensions", "x_opencti_score"},
		`name == "x" and any(labels, # == op)`:     {"labels", "name"},
		`type == "x" or id == "y" or tlp == "red"`: {},
		`object["x-y"] == 1 or has("a")`:           {"a", "x-y"},
		`author() == "x"`:                          {"created_by_ref", "extensions", "x_opencti_created_by_ref"},
		`let n = name; n == n`:                     {"name"},
	} {
		p, err := Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, append([]string{}, p.Needs()...)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", source, diff)
		}
	}
}

func TestOneProgramServesManyAtOnce(t *testing.T) {
	p, err := Compile(`score() >= 70 and "apt28" in labels() and author() == "ACME"`)
	if err != nil {
		t.Fatal(err)
	}
	full, empty := object(t, indicator), object(t, bare)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				o, want := full, "pass"
				if i%2 == 0 {
					o, want = empty, "missing"
				}
				if got := outcome(p.Eval(o, vars())); got != want {
					t.Errorf("got %s, want %s", got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestAnEvaluationEndsWithinItsBudget(t *testing.T) {
	p, err := Compile(`any(x, any(x, any(x, # == "none")))`)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Repeat(`"a",`, 2000)
	o := object(t, fmt.Sprintf(`{"type":"indicator","id":"indicator--3f0b0f0e-9a63-5f6b-8c7d-2f2f5b7a1c02","x":[%s"b"]}`, list))
	if pass, _, err := p.Eval(o, Vars{}); pass || !errors.Is(err, ErrBudget) {
		t.Errorf("pass %v, err %v", pass, err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{`score() >= 70`, `any(labels(), # startsWith "apt")`, `let n = lower(pattern); n contains "198."`, `x_map.a.b[-1] == 20 ? true : false`,
		`tlp <= "green" and op in ["create"]`, `name matches "^x" or not ("a" in labels)`, `sum(x_list) + 1..5 == nil ?? {"a": 1}`, `reduce(x_list, #acc + #, 0) > 1`} {
		f.Add(s)
	}
	full, err := stix.Parse([]byte(indicator))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Compile(source)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Col < 1 || e.Message == "" {
				t.Errorf("%q: %#v", source, err)
			}
			return
		}
		if pass, _, err := p.Eval(full, vars()); pass && err != nil {
			t.Errorf("%q passes with %v", source, err)
		}
	})
}

func BenchmarkEval(b *testing.B) {
	o, err := stix.Parse([]byte(indicator))
	if err != nil {
		b.Fatal(err)
	}
	for _, source := range []string{
		`score() >= 70`, `type == "malware" and score() >= 70`, `confidence >= 70`, `score() >= 70 and "apt28" in labels()`,
		`any(labels(), # startsWith "apt") and pattern_type == "stix" and confidence > 50`,
	} {
		p, err := Compile(source)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(source, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(indicator)))
			v := Vars{Op: "update", Producer: "attack", TLP: stix.Green}
			for b.Loop() {
				if _, _, err := p.Eval(o, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
