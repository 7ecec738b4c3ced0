package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// complaints loads text under the name c.yaml and returns what is reported, warnings too, without the file's name.
func complaints(text string, env ...string) []string {
	loaded, err := Parse("c.yaml", []byte(text), env, plugins())
	var out []string
	if problems, ok := err.(Problems); ok {
		for _, p := range problems {
			out = append(out, strings.TrimPrefix(p.String(), "c.yaml:"))
		}
	} else if err != nil {
		out = append(out, "other: "+err.Error())
	}
	for _, p := range loaded.Warnings {
		out = append(out, strings.TrimPrefix(p.String(), "c.yaml:"))
	}
	return out
}

func TestWrongConfigurations(t *testing.T) {
	for _, c := range wrong {
		t.Run(c.name, func(t *testing.T) {
			got := complaints(strings.TrimPrefix(c.text, "\n"), c.env...)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

var wrong = []struct {
	name string
	text string
	env  []string
	want []string
}{
	{name: "an empty file", want: []string{
		"1:1: the file is empty; add at least one producer and one consumer",
	}},
	{name: "a file of comments", text: "# nothing\n", want: []string{
		"1:1: the file is empty; add at least one producer and one consumer",
	}},
	{name: "a null document", text: "---\n~\n", want: []string{
		"1:1: the file is empty; add at least one producer and one consumer",
	}},
	{name: "a list at the top", text: "- kind: feed\n", want: []string{
		"1:1: a list does not fit; write keys and values: nats, http, opencti, log, producers, consumers",
	}},
	{name: "a word at the top", text: "hello\n", want: []string{
		`1:1: "hello" does not fit; write keys and values: nats, http, opencti, log, producers, consumers`,
	}},
	{name: "a second document", text: "nats: {}\n---\nhttp: {}\n", want: []string{
		"2:1: a second document begins here and would be ignored; keep one document, without --- between keys",
	}},
	{name: "a block that ends too early", text: "  nats: {}\n http: {}\n", want: []string{
		"2:2: not YAML: did not find expected <document start>; give all keys of a block the same indentation",
	}},
	{name: "a tab", text: "nats:\n\tdir: x\n", want: []string{
		"2:2: not YAML: found character that cannot start any token; indent with spaces, not tabs, and put text that begins with @, ` or % in quotes",
	}},
	{name: "a colon in plain text", text: "nats:\n  dir: a: b\n", want: []string{
		"2:3: not YAML: mapping values are not allowed in this context; check the indentation, and put text with a colon in quotes",
	}},
	{name: "a bracket left open", text: "nats:\n  dir: [a\n", want: []string{
		"2:3: not YAML: did not find expected ',' or ']'; close the bracket, or put text with brackets, commas or ${…} in quotes",
	}},
	{name: "a quote left open", text: "nats:\n  dir: \"a\n", want: []string{
		"2:3: not YAML: found unexpected end of stream; close the quote",
	}},
	{name: "an unknown anchor", text: "nats: *x\n", want: []string{
		"1:7: not YAML: unknown anchor 'x' referenced; define the anchor (&name) above its use, or put text that begins with * in quotes",
	}},
	{name: "an anchor in itself", text: "x-a: &a [ *a ]\n", want: []string{
		"1:11: x-a[0][0]: alias *a holds itself; remove it",
	}},
	{name: "bytes that are no UTF-8", text: "nats:\n  dir: \xff\n", want: []string{
		"2:8: byte 0xff is not allowed in YAML; save the file as UTF-8 text",
	}},
	{name: "a control character", text: "nats:\n  dir: \x01\n", want: []string{
		"2:8: byte 0x01 is not allowed in YAML; save the file as UTF-8 text",
	}},
	{name: "an unknown tag", text: "nats:\n  dir: !secret x\n", want: []string{
		"2:8: nats.dir: the tag !secret is not supported; remove it",
	}},
	{name: "a number that is not finite", text: "producers:\n  - { kind: feed, name: a, url: x, weight: .nan }\n", want: []string{
		"2:44: producers[0].weight: .nan is not a finite number; give a number, or put it in quotes if it is text",
	}},
	{name: "a list as key", text: "nats:\n  ? [a]\n  : b\n", want: []string{
		"2:5: nats: a key must be a word; found a list or mapping, put text with {, [ or * in quotes",
	}},
	{name: "keys twice, in three places", text: "nats: { dir: a }\nhttp: {}\nnats: {}\nproducers:\n  - kind: feed\n    name: a\n    url: x\n    name: b\n    tls: { ca: '', ca: '' }\n", want: []string{
		"3:1: nats: the key is there twice, first in line 1; keep one of them",
		"8:5: producers[0].name: the key is there twice, first in line 6; keep one of them",
		"9:20: producers[0].tls.ca: the key is there twice, first in line 9; keep one of them",
	}},

	{name: "unknown keys at every depth", text: `
natz: {}
nats: { dirr: x, tls: { cafile: x } }
producers:
  - { kind: feed, name: a, url: x, evry: 1h, columns: [ { nam: x, name: y } ] }
consumers:
  - kind: file
    name: f
    path: ./x
    Where: "x"
    colour: red
`, want: []string{
		`1:1: natz: unknown key; did you mean "nats"?`,
		`2:9: nats.dirr: unknown key; did you mean "dir"?`,
		"2:23: nats.tls: is for an external server, but the embedded one is used (it makes its own credentials); add nats.url, or remove the key",
		"2:25: nats.tls.cafile: unknown key; known are ca, cert, key, insecure",
		`4:36: producers[0].evry: unknown key; did you mean "every"?`,
		`4:59: producers[0].columns[0].nam: unknown key; did you mean "name"?`,
		`9:5: consumers[0].Where: unknown key; did you mean "where"?`,
		"10:5: consumers[0].colour: unknown key; known are kind, name, was, start, producers, types, ops, where, changed, max_tlp, unmarked_as, allow_markings, organizations, expired, backfill, prefer, on_delete, concurrency, batch, timeout, protect, replay_rate, path",
	}},
	{name: "words of other tools", text: `
sinks: []
producers:
  - { kind: feed, name: a, endpoint: x, url: y, interval: 1h }
`, want: []string{
		`1:1: sinks: unknown key; did you mean "consumers"?`,
		`3:28: producers[0].endpoint: unknown key; did you mean "url"?`,
		`3:49: producers[0].interval: unknown key; did you mean "every"?`,
	}},
	{name: "missing keys", text: `
producers:
  - { kind: feed, name: a }
  - { name: b }
  - kind: feed
    url: x
consumers:
  - { kind: webhook, name: w }
`, want: []string{
		"2:5: producers[0]: the key url is missing; add it (File or address of the feed)",
		"3:5: producers[1]: the key kind is missing; add it, known are feed, opencti-live",
		"4:5: producers[2]: the key name is missing; add it (The producer's identity: second token of every subject)",
		"7:5: consumers[0]: the key url is missing; add it (Where to post)",
		`7:5: consumers[0]: the key producers is missing; kind webhook leaves the house: name the producers whose events may go there, or write ["*"] for all`,
	}},
	{name: "unknown kinds", text: `
producers:
  - { kind: fed, name: a, url: x }
  - { kind: webhook, name: b, url: x }
  - { kind: 7, name: c, evry: 1 }
consumers:
  - { kind: kafka, name: d, max_tlp: pink }
`, want: []string{
		`2:13: producers[0].kind: unknown kind "fed"; did you mean "feed"? known are feed, opencti-live`,
		"3:13: producers[1].kind: webhook is a sink; move the section to consumers",
		"4:13: producers[2].kind: the number 7 does not fit; write one of feed, opencti-live",
		`6:13: consumers[0].kind: unknown kind "kafka"; known are file, opencti, tag, webhook`,
		`6:38: consumers[0].max_tlp: "pink" is no TLP level; write clear, green, amber, amber+strict or red`,
	}},
	{name: "wrong types", text: `
nats: { dir: 5, replicas: many }
http: []
log: { level: loud, format: Json }
producers:
  - { kind: feed, name: 7, url: x, strict: yes please, every: 5, weight: heavy, pages: 1.5, limit: many }
consumers:
  - { kind: file, name: f, path: [x], types: indicator, batch: 0, concurrency: 65, ops: { a: b } }
`, want: []string{
		"1:14: nats.dir: the number 5 does not fit; write text, in quotes if it looks like something else",
		`1:27: nats.replicas: "many" does not fit; write a whole number from 1 to 5`,
		"2:7: http: a list does not fit; write a mapping of keys and values",
		`3:15: log.level: "loud" does not fit; write debug, info, warn or error`,
		`3:29: log.format: "Json" does not fit; write auto, json or text; did you mean "json"?`,
		"5:25: producers[0].name: the number 7 does not fit; write lower-case letters, digits and -, beginning with a letter or digit, in quotes if it looks like something else",
		`5:44: producers[0].strict: "yes please" does not fit; write true or false`,
		"5:63: producers[0].every: the number 5 does not fit; write a duration such as 30s, 5m, 24h, 7d or PT10M",
		`5:74: producers[0].weight: "heavy" does not fit; write a number from 0 to 1`,
		"5:88: producers[0].pages: the number 1.5 does not fit; write a whole number of at least 1",
		`5:100: producers[0].limit: "many" does not fit; write a size such as 512KiB, 64MiB or 10GB, or a whole number`,
		"7:34: consumers[0].path: a list does not fit; write text",
		`7:46: consumers[0].types: "indicator" does not fit; write a list such as [a, b]; here [indicator]`,
		"7:64: consumers[0].batch: the number 0 does not fit; write a whole number from 1 to 10000",
		"7:80: consumers[0].concurrency: the number 65 does not fit; write a whole number from 1 to 64",
		"7:89: consumers[0].ops: a mapping does not fit; write a list such as [a, b]",
		"6:1: warning: consumers: can never match: there is no producer, only the command import brings events; add a section under producers",
	}},
	{name: "sections that are no list", text: `
producers: { a: { kind: feed } }
consumers: file
`, want: []string{
		"1:12: producers: a mapping does not fit; write a list, each a mapping of keys and values",
		`2:12: consumers: "file" does not fit; write a list, each a mapping of keys and values`,
	}},
	{name: "entries that are no mapping leave the others checked", text: `
producers:
  - feed
  - { kind: feed, name: a, url: x, evry: 1h }
`, want: []string{
		`2:5: producers[0]: "feed" does not fit; write a mapping of keys and values`,
		`3:36: producers[1].evry: unknown key; did you mean "every"?`,
	}},
	{name: "keys without a value", text: `
nats:
http:
producers:
  - { kind: feed, name: a, url: x, every: , tls: }
consumers:
  - { kind: file, name: f, path: x, where: }
`, want: []string{
		"4:36: producers[0].every: has no value; give one, or remove the key",
		"6:37: consumers[0].where: has no value; give one, or remove the key",
	}},
	{name: "names that cannot be names", text: `
producers:
  - { kind: feed, name: Attack, url: x }
  - { kind: feed, name: -a, url: x }
consumers:
  - { kind: file, name: "a b", path: x, producers: [Attack] }
`, want: []string{
		`2:25: producers[0].name: "Attack" does not fit; write lower-case letters, digits and -, beginning with a letter or digit`,
		`3:25: producers[1].name: "-a" does not fit; write lower-case letters, digits and -, beginning with a letter or digit`,
		`5:25: consumers[0].name: "a b" does not fit; write lower-case letters, digits and -, beginning with a letter or digit`,
	}},
	{name: "one name twice", text: `
producers:
  - { kind: feed, name: a, url: x }
  - { kind: feed, name: a, url: y }
consumers:
  - { kind: file, name: a, path: x }
`, want: []string{
		"3:25: producers[1].name: the name a is taken by producers[0] (line 2); names are unique across producers and consumers, choose another",
		"5:25: consumers[0].name: the name a is taken by producers[0] (line 2); names are unique across producers and consumers, choose another",
	}},
	{name: "durations and sizes", text: `
nats: { max_age: 5, max_bytes: 10 potatoes }
producers:
  - { kind: feed, name: a, url: x, every: 1 month }
  - { kind: feed, name: b, url: x, every: 0s }
  - { kind: feed, name: c, url: x, every: 10ms }
consumers:
  - { kind: file, name: f, path: x, timeout: 0s }
`, want: []string{
		"1:18: nats.max_age: the number 5 does not fit; write a duration such as 30s, 5m, 24h, 7d or PT10M",
		`1:32: nats.max_bytes: "10 potatoes" does not fit; write a size such as 512KiB, 64MiB or 10GB, or a whole number`,
		`3:43: producers[0].every: "1 month" does not fit; write a duration such as 30s, 5m, 24h, 7d or PT10M`,
		"4:43: producers[1].every: is no pause; write a duration such as 1h, or remove the key to read the source once",
		"5:43: producers[2].every: 10ms would poll without pause; write at least 1s",
		"7:46: consumers[0].timeout: leaves no time; write a duration such as 60s",
	}},
	{name: "TLP levels", text: `
producers:
  - { kind: feed, name: a, url: x, tlp: pink }
  - { kind: feed, name: b, url: x, tlp: unmarked }
consumers:
  - { kind: file, name: f, path: x, max_tlp: TLP:BLUE, unmarked_as: "" }
`, want: []string{
		`2:41: producers[0].tlp: "pink" is no TLP level; write clear, green, amber, amber+strict or red`,
		`3:41: producers[1].tlp: "unmarked" is no TLP level; write clear, green, amber, amber+strict or red`,
		`5:46: consumers[0].max_tlp: "TLP:BLUE" is no TLP level; write clear, green, amber, amber+strict or red`,
		`5:69: consumers[0].unmarked_as: "" is no TLP level; write clear, green, amber, amber+strict or red`,
	}},
	{name: "max_delete", text: `
producers:
  - { kind: feed, name: a, url: x, max_delete: 10 }
  - { kind: feed, name: b, url: x, max_delete: 200% }
`, want: []string{
		"2:48: producers[0].max_delete: the number 10 does not fit; write a share such as 10%, in quotes if it looks like something else",
		`3:48: producers[1].max_delete: "200%" does not fit; write a share from 0% to 100%`,
	}},
	{name: "gates that name nobody", text: `
producers:
  - { kind: feed, name: attack, url: x }
consumers:
  - { kind: file, name: f, path: x, producers: [atack, attack, soc], prefer: [attck] }
  - { kind: webhook, name: soc, url: "https://soc.example", producers: [nobody] }
  - { kind: tag, name: tags }
  - { kind: file, name: g, path: y, producers: [tags, import, "*"] }
`, want: []string{
		`4:49: consumers[0].producers[0]: no producer is named "atack"; did you mean "attack"? known are attack, tags`,
		"4:64: consumers[0].producers[2]: soc is a sink and produces nothing; name a producer: attack, tags",
		`4:79: consumers[0].prefer[0]: no producer is named "attck"; did you mean "attack"? known are attack, tags`,
		`5:73: consumers[1].producers[0]: no producer is named "nobody"; known are attack, tags`,
	}},
	{name: "a target outside the house that names no producer", text: `
producers: [ { kind: feed, name: a, url: x } ]
consumers:
  - kind: webhook
    name: soc
    url: https://soc.example
`, want: []string{
		`3:5: consumers[0]: the key producers is missing; kind webhook leaves the house: name the producers whose events may go there, or write ["*"] for all`,
	}},
	{name: "gates that let nothing pass", text: `
producers: [ { kind: feed, name: a, url: x, tlp: amber } ]
consumers:
  - { kind: file, name: f, path: x, ops: [], types: [], producers: [], changed: [], organizations: [] }
  - { kind: webhook, name: g, url: "https://g.example", producers: [a] }
  - { kind: tag, name: t, producers: [t] }
  - { kind: file, name: h, path: x, ops: [retract] }
`, want: []string{
		"3:42: consumers[0].ops: can never match: the list is empty; name at least one, or remove the key to let all pass",
		"3:53: consumers[0].types: can never match: the list is empty; name at least one, or remove the key to let all pass",
		"3:68: consumers[0].producers: can never match: the list is empty; name at least one, or remove the key to let all pass",
		"3:81: consumers[0].changed: can never match: the list is empty; name at least one, or remove the key to let all pass",
		"3:100: consumers[0].organizations: can never match: the list is empty; name at least one, or remove the key to let all pass",
		"4:5: warning: consumers[1].max_tlp: can never match what carries no TLP marking of its own: max_tlp is green, and a set amber or higher; raise max_tlp, or name other producers",
		"5:38: warning: consumers[2].producers: can never match: an enricher does not meet what it made itself; name other producers",
		"6:42: warning: consumers[3].ops: can never match: only what passed before is retracted; add create and update",
		"6:43: warning: consumers[3].ops[0]: has no effect: a retract always passes; remove it",
	}},
	{name: "consumers without any producer", text: "consumers: [ { kind: file, name: f, path: x } ]\n", want: []string{
		"1:1: warning: consumers: can never match: there is no producer, only the command import brings events; add a section under producers",
	}},
	{name: "operations, types and what they exclude", text: `
producers: [ { kind: feed, name: a, url: x } ]
consumers:
  - kind: file
    name: f
    path: x
    ops: [created, upd, create, delete, retract]
    types: [Indicator, indicater, IPv4-Addr, "x y", x-mine, my-type]
    changed: [confidence, "a/b"]
    organizations: [ACME]
    on_delete: remove
`, want: []string{
		`6:11: consumers[0].ops[0]: unknown operation "created"; did you mean "create"?`,
		`6:20: consumers[0].ops[1]: unknown operation "upd"; known are create, update, delete, merge, expire`,
		`7:13: consumers[0].types[0]: "Indicator" is no STIX type; did you mean "indicator"?`,
		`7:35: consumers[0].types[2]: "IPv4-Addr" is no STIX type; did you mean "ipv4-addr"?`,
		`7:46: consumers[0].types[3]: "x y" is no STIX type; write lower-case letters, digits and -, such as indicator or x-custom`,
		`8:27: consumers[0].changed[1]: "a/b" is no property; write the name of a top-level property such as confidence`,
		`9:21: consumers[0].organizations[0]: "ACME" is no id of an identity; write its STIX id, identity--…`,
		`10:16: consumers[0].on_delete: "remove" does not fit; write auto, ignore, revoke or delete; did you mean "revoke"?`,
		"6:41: warning: consumers[0].ops[4]: has no effect: a retract always passes; remove it",
		`7:24: warning: consumers[0].types[1]: can never match unless a source makes up types: STIX knows no indicater; did you mean "indicator"?`,
		"8:14: warning: consumers[0].changed: has no effect: ops leaves updates out; add update to ops, or remove changed",
	}},
	{name: "where", text: `
producers: [ { kind: feed, name: a, url: x } ]
consumers:
  - { kind: file, name: f, path: x, where: "score() >= %%" }
  - { kind: file, name: g, path: x, where: " " }
  - kind: file
    name: h
    path: x
    where: >-
      score()
      >= %%
`, want: []string{
		"3:56: consumers[0].where: unexpected %%; write a number",
		"4:44: consumers[1].where: is empty; write an expression such as score() >= 70, or remove the key to let all pass",
		"8:12: consumers[2].where: unexpected %%; write a number",
	}},
	{name: "start", text: `
producers: [ { kind: feed, name: a, url: x } ]
consumers:
  - { kind: file, name: f, path: x, start: lastest }
  - { kind: file, name: g, path: x, start: 2999-01-01T00:00:00Z }
  - { kind: file, name: h, path: x, start: 2026-01-01 }
`, want: []string{
		`3:44: consumers[0].start: "lastest" does not fit; did you mean "latest"?`,
		"4:44: consumers[1].start: 2999-01-01T00:00:00Z lies in the future; write new to begin now, or an earlier time",
		`5:44: consumers[2].start: "2026-01-01" does not fit; write new, latest, all or a time such as 2026-01-31T00:00:00Z`,
	}},
	{name: "former names", text: `
producers:
  - { kind: feed, name: a, url: x, was: b }
  - { kind: feed, name: b, url: x, was: b }
`, want: []string{
		"2:41: producers[0].was: b is the name of producers[1] (line 3); a former name must be free",
		"3:41: producers[1].was: is the present name; write the former one, or remove the key",
	}},
	{name: "a preference that has no effect", text: `
producers: [ { kind: feed, name: a, url: x }, { kind: feed, name: b, url: x } ]
consumers: [ { kind: file, name: f, path: x, producers: [a], prefer: [b, a] } ]
`, want: []string{
		"2:71: warning: consumers[0].prefer[0]: b is not among the producers of this consumer; the preference has no effect",
	}},
	{name: "a live source is not polled, a file has one writer", text: `
producers: [ { kind: opencti-live, name: o, url: "https://o.example", token: t, stream: s, every: 1h } ]
consumers: [ { kind: file, name: f, path: x, concurrency: 2 } ]
`, want: []string{
		"2:59: consumers[0].concurrency: kind file writes to one ordered medium; write 1, or remove the key",
		"1:99: warning: producers[0].every: has no effect: kind opencti-live is not polled; remove it",
	}},

	{name: "an embedded server with the keys of an external one", text: `
nats: { creds: ./none.creds, replicas: 3, user: u, tls: { cert: ./none.pem } }
`, want: []string{
		"1:16: nats.creds: is for an external server, but the embedded one is used (it makes its own credentials); add nats.url, or remove the key",
		"1:16: nats.creds: ./none.creds: no such file or directory; give the path of a readable file",
		"1:40: nats.replicas: the embedded server keeps one copy; write 1, or name a cluster with nats.url",
		"1:49: nats.user: is for an external server, but the embedded one is used (it makes its own credentials); add nats.url, or remove the key",
		"1:57: nats.tls: is for an external server, but the embedded one is used (it makes its own credentials); add nats.url, or remove the key",
		"1:65: nats.tls.cert: ./none.pem: no such file or directory; give the path of a readable file",
		"1:65: nats.tls.cert: tls.key is missing; a client certificate needs both",
	}},
	{name: "an external server with the keys of the embedded one", text: `
nats: { url: "http://x", listen: 127.0.0.1:4222, context: prod, password: p, token: t, user: "" }
`, want: []string{
		`1:14: nats.url: "http://x" is no address of a NATS server; write nats://host:4222 (also tls://, ws://, wss://), several with commas`,
		"1:34: nats.listen: belongs to the embedded server, but nats.url or nats.context names an external one; remove one of them",
		"1:59: nats.context: nats.url is set too; a context brings its own address, keep one of them",
		"1:75: nats.password: there is no nats.user; add it",
	}},
	{name: "addresses to listen on", text: `
http: { listen: "8321" }
nats: { listen: 0.0.0.0:4222 }
`, want: []string{
		`1:17: http.listen: "8321" is no address to listen on; write host:port such as 127.0.0.1:8321, port 0 for any free one, or off`,
		"2:17: warning: nats.listen: other machines can reach the event log, and its credentials would travel without TLS; listen on 127.0.0.1, or run a NATS cluster with TLS",
	}},
	{name: "listening for others without tokens", text: `
http: { listen: ":8321" }
nats: { listen: 127.0.0.1:99999 }
`, want: []string{
		`1:17: http.listen: ":8321" can be reached from other machines, and http.tokens is missing; set http.tokens.viewer and http.tokens.operator, or listen on 127.0.0.1`,
		`2:17: nats.listen: "127.0.0.1:99999" is no address to listen on; write host:port such as 127.0.0.1:8321, port 0 for any free one`,
	}},
	{name: "one address for two servers", text: `
http: { listen: 127.0.0.1:4222 }
`, want: []string{
		`1:17: http.listen: nats.listen has the same address "127.0.0.1:4222"; choose another port for one of them`,
	}},

	{name: "variables that are not set, in every kind of text", text: `
nats: { dir: "${NOWHERE}" }
opencti:
  url: ${ALSO NOT}
  token: '${OPEN'
producers:
  - { kind: feed, name: "${NAME:-a}", url: x, pages: "${PAGES}", every: "${EVERY}" }
`, env: []string{"PAGES=zero", "EVERY=often"}, want: []string{
		"1:14: nats.dir: the variable NOWHERE is not set; set it, or write ${NOWHERE:-default}",
		"3:8: opencti.url: ${ALSO NOT} names no variable; write ${NAME} or ${NAME:-default}, or $${ for the characters themselves",
		"4:10: opencti.token: ${ without }; close it, or write $${ for the characters themselves",
		"6:54: producers[0].pages: the value does not fit; write a whole number of at least 1",
		"6:73: producers[0].every: the value does not fit; write a duration such as 30s, 5m, 24h, 7d or PT10M",
	}},
	{name: "variables of the environment", text: `
producers: [ { kind: feed, name: a-b, url: x } ]
`, env: []string{
		"STIXBRIDGE_NATS_ULR=x", "STIXBRIDGE_LOG_LEVEL=loud", "STIXBRIDGE_PRODUCERS_A_B_PAGES=-1", "STIXBRIDGE_PRODUCERS_OTHER_URL=x",
		"STIXBRIDGE_NATS_SERVICE_HOST=10.0.0.1", "STIXBRIDGE_NATS_PORT_4222_TCP=tcp://10.0.0.1:4222", "STIXBRIDGE_PORT=tcp://10.0.0.1:1",
		"STIXBRIDGE_HTTP_TOKENS_VIEWER_FILE=/nowhere", "STIXBRIDGE_CONFIG=x", "STIXBRIDGE_HTTP_SOMETHING=1",
		"STIXBRIDGE_PRODUCERS_A_B_TOKEN=x", "STIXBRIDGE_PRODUCERS_A_B_TOKEN_FILE=/nowhere",
	}, want: []string{
		"env:STIXBRIDGE_HTTP_SOMETHING: no key has this name; see the reference for the names, or unset it",
		"env:STIXBRIDGE_HTTP_TOKENS_VIEWER_FILE: http.tokens.viewer: cannot read the file it names: /nowhere: no such file or directory; give the path of a readable file",
		"env:STIXBRIDGE_LOG_LEVEL: log.level: the value does not fit; write debug, info, warn or error",
		"env:STIXBRIDGE_NATS_ULR: no key has this name; did you mean STIXBRIDGE_NATS_URL?",
		"env:STIXBRIDGE_PRODUCERS_A_B_PAGES: producers[0].pages: the value does not fit; write a whole number of at least 1",
		"env:STIXBRIDGE_PRODUCERS_A_B_TOKEN_FILE: producers[0].token: STIXBRIDGE_PRODUCERS_A_B_TOKEN is set too; keep one of them",
		"env:STIXBRIDGE_PRODUCERS_OTHER_URL: warning: no producer of this file has this name and key; the variable has no effect",
	}},
	{name: "files of secrets", text: `
opencti: { url: "https://o.example", token_file: /nowhere/token }
producers:
  - { kind: feed, name: a, url: x, token: t, token_file: x }
  - { kind: feed, name: b, url: x, token_file: /dev/null, url_file: x }
`, want: []string{
		"1:50: opencti.token_file: cannot read the file it names: /nowhere/token: no such file or directory; give the path of a readable file",
		"3:46: producers[0].token_file: token is set too; keep one of them",
		"4:48: producers[1].token_file: /dev/null is no regular file of at most 65536 bytes; give the path of a text file",
		"4:59: producers[1].url_file: unknown key; known are kind, name, was, every, tlp, strict, max_delete, url, format, columns, headers, token, weight, pages, limit, tls",
	}},
	{name: "what a constructor refuses", text: `
producers:
  - kind: feed
    name: a
    url: ftp://x
    format: stix
    pages: 2
    columns:
      - { name: one }
      - { name: two, type: blob }
`, want: []string{
		"2:5: producers[0]: a bundle has no pages; remove pages or format",
		"4:10: producers[0].url: ftp is not supported; use https",
		"9:28: producers[0].columns[1].type: no column holds a blob; write text",
	}},
	{name: "a constructor does not run over a section that is wrong", text: `
producers: [ { kind: feed, name: a, url: "ftp://x", evry: 1h } ]
`, want: []string{
		`1:53: producers[0].evry: unknown key; did you mean "every"?`,
	}},
	{name: "a token does not follow to another address", text: `
opencti: { url: "https://o.example", token: t }
producers: [ { kind: opencti-live, name: o, url: "https://other.example", stream: s } ]
`, want: []string{
		"2:14: producers[0]: the key token is missing; add it (API token)",
	}},
	{name: "behind anchors the place is the anchor's", text: `
x-feed: &feed
  kind: feed
  every: often
producers:
  - { <<: *feed, name: a, url: x }
  - <<: *feed
    name: b
    evry: 1h
`, want: []string{
		`3:10: producers[0].every: "often" does not fit; write a duration such as 30s, 5m, 24h, 7d or PT10M`,
		`3:10: producers[1].every: "often" does not fit; write a duration such as 30s, 5m, 24h, 7d or PT10M`,
		"6:5: producers[1]: the key url is missing; add it (File or address of the feed)",
		`8:5: producers[1].evry: unknown key; did you mean "every"?`,
	}},
	{name: "secrets are never shown", text: `
opencti: { token: [canary-1], url: "canary://user:canary-2@" }
http: { tokens: { viewer: { a: canary-3 } }, listen: "${CANARY}" }
producers:
  - { kind: feed, name: a, url: x, token: { a: canary-4 }, headers: { Authorization: [canary-5] }, every: "${CANARY}" }
`, env: []string{"CANARY=canary-6"}, want: []string{
		"1:19: opencti.token: a list does not fit; write text",
		"1:36: opencti.url: the value is no address of a platform; write https://host, or http://host:8080",
		"2:27: http.tokens.viewer: a mapping does not fit; write text",
		"2:54: http.listen: the value is no address to listen on; write host:port such as 127.0.0.1:8321, port 0 for any free one, or off",
		"4:43: producers[0].token: a mapping does not fit; write text",
		"4:86: producers[0].headers.Authorization: a list does not fit; write text",
		"4:107: producers[0].every: the value does not fit; write a duration such as 30s, 5m, 24h, 7d or PT10M",
	}},
}
