package pattern

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type vector struct {
	Pattern  string
	SyntaxOK bool `json:"syntax_ok"`
	Extract  json.RawMessage
	Refuse   Reason
}

func vectors(tb testing.TB) (list []vector) {
	tb.Helper()
	raw, err := os.ReadFile("../testdata/stix-patterns.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	in := bufio.NewReader(bytes.NewReader(raw))
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return list
		}
		var v vector
		if err := json.Unmarshal(line, &v); err != nil {
			tb.Fatal(err)
		}
		list = append(list, v)
	}
}

func TestVectors(t *testing.T) {
	list := vectors(t)
	for _, v := range list {
		p, err := Parse(v.Pattern)
		if err == nil {
			err = p.Check()
		}
		if (err == nil) != v.SyntaxOK {
			t.Errorf("%s: syntax: %v", v.Pattern, err)
		}
		got, err := Extract(v.Pattern)
		var refusal *Refusal
		if v.Refuse != "" {
			if !errors.As(err, &refusal) || refusal.Reason != v.Refuse {
				t.Errorf("%s: got %v, %v, want %s", v.Pattern, got, err, v.Refuse)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", v.Pattern, err)
			continue
		}
		raw, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if json.Unmarshal(raw, &a) != nil || json.Unmarshal(v.Extract, &b) != nil {
			t.Fatal(string(raw))
		}
		if diff := cmp.Diff(b, a); diff != "" {
			t.Errorf("%s: %s", v.Pattern, diff)
		}
	}
	if len(list) != 46 {
		t.Errorf("%d vectors", len(list))
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"[ipv4-addr:value='1.2.3.4']", "[ipv4-addr:value = '1.2.3.4']"},
		{" [ ( ( a : b == 1 ) ) ]\n", "[a:b = 1]"},
		{"[a:'b'.'c-d'.'AND'[*][2]<>'it\\'s \\\\']", "[a:b.'c-d'.'AND'[*][2] != 'it\\'s \\\\']"},
		{"[a:b=1 AND (a:c=2 OR a:d=3)]", "[a:b = 1 AND (a:c = 2 OR a:d = 3)]"},
		{"[(a:b=1 AND a:c=2) OR a:d=3]", "[a:b = 1 AND a:c = 2 OR a:d = 3]"},
		{"([a:b=1])AND(([a:c NOT IN(1,'x',true)]))", "[a:b = 1] AND [a:c NOT IN (1, 'x', true)]"},
		{"([a:b=1] OR [a:c=1])WITHIN 5 SECONDS REPEATS +2 TIMES", "([a:b = 1] OR [a:c = 1]) WITHIN 5 SECONDS REPEATS +2 TIMES"},
		{"([a:b=1] WITHIN 1 SECONDS) WITHIN .5 SECONDS", "([a:b = 1] WITHIN 1 SECONDS) WITHIN .5 SECONDS"},
		{"[NOT EXISTS a:b] START t'2024-01-01T00:00:00Z' STOP t'2024-01-02T00:00:00Z'", "[NOT EXISTS a:b] START t'2024-01-01T00:00:00Z' STOP t'2024-01-02T00:00:00Z'"},
		{"[a:b=1] FOLLOWEDBY ([a:c=1] FOLLOWEDBY [a:d=h'00'])", "[a:b = 1] FOLLOWEDBY ([a:c = 1] FOLLOWEDBY [a:d = h'00'])"},
		{"[a:b /* x */ = 1] // y", "[a:b = 1]"},
		{"[a:b IN ()]", "[a:b IN ()]"},
	} {
		got, err := Format(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", c.in, err, got, c.want)
		}
		if again, err := Format(got); err != nil || again != got {
			t.Errorf("%s is not its own form: %s %v", got, again, err)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "1:1: [ or ( must stand here, not the pattern's end",
		"[a:b = 1":                    "1:9: ] must stand here, not the pattern's end",
		"[a:é = 1]":                   "1:4: unexpected character 'é'",
		"[é:b\n = 'x]":                "1:2: unexpected character 'é'",
		"[a:b =\n  'x]":               "2:3: the string has no end, or a backslash before something else than ' or \\",
		"[file:hashes.SHA-256 = 'x']": "1:14: a property name in single quotes, because it has a hyphen, must stand here, not \"SHA-256\"",
		"[a:b = \"x\"]":               "1:8: unexpected character '\"'",
		"[a:b > true]":                "1:8: a value that has an order must stand here, not \"true\"",
		"[a:b = 1] or [a:c = 2]":      "1:11: AND, OR, FOLLOWEDBY, a qualifier or the end must stand here, not \"or\"",
		"\xff":                        "1:1: the pattern is not valid UTF-8",
		strings.Repeat("(", 5000):     "1:101: nested too deep",
	} {
		_, err := Parse(in)
		if err == nil || err.Error() != want {
			t.Errorf("%.40q: got %v, want %s", in, err, want)
		}
	}
}

func TestCheckFindsBadHashesAndDoubleQualifiers(t *testing.T) {
	for in, ok := range map[string]bool{
		"[file:hashes.MD5 = 'zz']": false,
		"[file:hashes.'sha-1' = 'da39a3ee5e6b4b0d3255bfef95601890afd80709']": true,
		"[file:hashes.MD5 IN ('d41d8cd98f00b204e9800998ecf8427e', 'zz')]":    false,
		"[file:hashes.MD5 IN ('d41d8cd98f00b204e9800998ecf8427e')]":          true,
		"[file:hashes.MD5 IN ()]":                                     false,
		"[file:hashes.imphash IN ()]":                                 true,
		"[file:hashes.imphash = 'zz']":                                true,
		"[a:b = 1] WITHIN 1 SECONDS REPEATS 1 TIMES":                  true,
		"[a:b = 1] WITHIN 1 SECONDS REPEATS 1 TIMES WITHIN 2 SECONDS": false,
		"([a:b = 1] WITHIN 1 SECONDS) WITHIN 2 SECONDS":               true,
		"[a:c = 1] OR [a:b = 1] REPEATS 1 TIMES REPEATS 1 TIMES":      false,
	} {
		p, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(); (err == nil) != ok {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestExtractRefusesForTheWeightiestReason(t *testing.T) {
	for in, want := range map[string]Reason{
		"[a:b != 1] FOLLOWEDBY [a:b = 1] WITHIN 1 SECONDS":                                  ReasonSequence,
		"[a:b != 1] WITHIN 1 SECONDS":                                                       ReasonQualifier,
		"[a:b_ref.c LIKE 'x' AND a:b != 1]":                                                 ReasonNegation,
		"[a:b_refs[*].c LIKE 'x']":                                                          ReasonReferencePath,
		"[NOT EXISTS file:name]":                                                            ReasonNegation,
		"[EXISTS file:name]":                                                                ReasonOperator,
		"[file:name ISSUBSET '10.0.0.0/8']":                                                 ReasonOperator,
		"[a:b IN ()]":                                                                       ReasonEmptySet,
		"[a:b = 1] AND [file:name = 'x']":                                                   ReasonUnknownType,
		"[url:value = 'x'] AND [url:value = 'y']":                                           ReasonConjunction,
		"[url:value = 'x' AND (file:name = 'x' OR file:name = 'y')]":                        ReasonConjunction,
		"[file:name IN ('x') AND file:hashes.foo = 'y']":                                    ReasonConjunction,
		"[ipv4-addr:value ISSUBSET '10.0.0.0/8' AND ipv4-addr:x = 1]":                       ReasonConjunction,
		"[network-traffic:src_port = 1 AND network-traffic:dst_port = 2]":                   ReasonUnsupportedPath,
		"[file:hashes = 'x']":                                                               ReasonUnsupportedPath,
		"[file:size = 1]":                                                                   ReasonUnsupportedPath,
		"[file:size = 1 AND file:mime_type = 'x' AND file:name = 'y']":                      ReasonConjunction,
		"[file:size = 1 AND file:mime_type = 'x' AND file:ctime = t'2026-01-01T00:00:00Z']": ReasonUnsupportedPath,
		"[file:size = 1 AND network-traffic:dst_port = 2]":                                  ReasonConjunction,
		"[file:size = 1 AND file:size > 2]":                                                 ReasonOperator,
		"[file:size = 1 OR (file:name = 'x' AND file:size = 2)]":                            ReasonConjunction,
		"[file:name = 'x' OR file:size = 1]":                                                ReasonUnsupportedPath,
		"[file:name = 'x' OR (file:size = 1 AND file:name = 'y')]":                          ReasonConjunction,
		"[file:name = 'x'] OR [file:size = 1 AND file:mime_type = 'y']":                     ReasonUnsupportedPath,
		"[file:hashes.MD5 = h'd41d8cd98f00b204e9800998ecf8427e']":                           ReasonUnsupportedPath,
		"[url:value = b'aHR0cDovL2V2aWwuZXhhbXBsZS8=']":                                     ReasonUnsupportedPath,
	} {
		var refusal *Refusal
		if _, err := Extract(in); !errors.As(err, &refusal) || refusal.Reason != want {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
}

func TestExtractGivesEachObservableOnce(t *testing.T) {
	list, err := Extract("[url:value IN ('a', 'b', 'a') OR url:value = 'b'] OR [autonomous-system:number = 5 OR autonomous-system:number = 5.0 OR url:value = '5' OR url:value = 'it\\'s \\\\']")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range list {
		got = append(got, key(o))
	}
	want := []string{
		`{"type":"url","match":"eq","properties":{"value":"a"}}`, `{"type":"url","match":"eq","properties":{"value":"b"}}`,
		`{"type":"autonomous-system","match":"eq","properties":{"number":5}}`, `{"type":"url","match":"eq","properties":{"value":"5"}}`,
		`{"type":"url","match":"eq","properties":{"value":"it's \\"}}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
