package warninglist

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
)

// value is a text that a list may hold, with the attribute types under which MISP would have it.
type value struct {
	text       string
	attributes []string
}

var (
	addresses = []string{"ip-src", "ip-dst", "ip", "port"}
	names     = []string{"domain", "hostname"}
	urls      = []string{"url", "uri", "link"}
	mails     = []string{"email", "email-src", "email-dst", "target-email", "whois-registrant-email"}
)

// kinds says what the properties of observables are to MISP.
var kinds = map[string][]string{
	"ipv4-addr:value": addresses, "ipv6-addr:value": addresses,
	"domain-name:value": names, "hostname:value": names,
	"url:value": urls, "email-addr:value": mails,
	"mac-addr:value": {"mac-address"}, "autonomous-system:number": {"AS"},
	"file:name": {"filename"}, "directory:path": {"filename"}, "mutex:name": {"mutex"},
	"windows-registry-key:key": {"regkey"}, "user-agent:value": {"user-agent"},
	"cryptocurrency-wallet:value": {"btc", "xmr", "dash"},
}

// attributes of a property, written as in a pattern; nil for what no list is about.
func attributes(property string) []string {
	if a, ok := kinds[property]; ok {
		return a
	}
	typ, rest, _ := strings.Cut(property, ":")
	algorithm, ok := strings.CutPrefix(rest, "hashes.")
	if !ok {
		return nil
	}
	algorithm = strings.ToLower(strings.ReplaceAll(strings.Trim(algorithm, `'"`), "-", ""))
	switch typ {
	case "file", "artifact":
		return []string{algorithm}
	case "x509-certificate":
		return []string{"x509-fingerprint-" + algorithm}
	}
	return nil
}

// values are the texts of an object: those of an observable, or those that an indicator's pattern compares with.
func values(o stix.Object) []value {
	if o.Type() == "indicator" {
		return compared(o)
	}
	var vs []value
	for _, p := range []string{"value", "name", "path", "key", "number"} {
		kind := kinds[o.Type()+":"+p]
		if kind == nil {
			continue
		}
		if raw, ok := o.Get(p); ok {
			vs = add(vs, raw, kind)
		}
	}
	if raw, ok := o.Get("hashes"); ok {
		var hashes map[string]json.RawMessage
		_ = json.Unmarshal(raw, &hashes) // of another form: none
		for algorithm, h := range hashes {
			if kind := attributes(o.Type() + ":hashes." + algorithm); kind != nil {
				vs = add(vs, h, kind)
			}
		}
	}
	return vs
}

func add(vs []value, raw json.RawMessage, kind []string) []value {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		var n json.Number
		if json.Unmarshal(raw, &n) != nil {
			return vs
		}
		s = "AS" + n.String()
	}
	if s == "" {
		return vs
	}
	return append(vs, value{s, kind})
}

// equality finds type:property = 'value' in a pattern, with what negates it before.
var equality = regexp.MustCompile(`(NOT\s+)?([a-z0-9-]+):([A-Za-z0-9_.'"-]+?)\s*(NOT\s+)?=\s*'((?:[^'\\]|\\.)*)'`)

// compared are the texts that a STIX pattern asks to be equal. Other comparisons say nothing about one value.
func compared(o stix.Object) []value {
	var kind, pattern string
	if raw, ok := o.Get("pattern_type"); ok {
		_ = json.Unmarshal(raw, &kind)
	}
	if raw, ok := o.Get("pattern"); ok {
		_ = json.Unmarshal(raw, &pattern)
	}
	if kind != "" && kind != "stix" {
		return nil
	}
	var vs []value
	for _, m := range equality.FindAllStringSubmatch(pattern, -1) {
		kind := attributes(m[2] + ":" + m[3])
		if m[1] == "" && m[4] == "" && kind != nil && m[5] != "" {
			vs = append(vs, value{unescape.Replace(m[5]), kind})
		}
	}
	return vs
}

var unescape = strings.NewReplacer(`\'`, `'`, `\\`, `\`)

// host is the host of a URL, or a name as it is; empty for what has none.
func (v value) host() string {
	if !slices.Contains(v.attributes, "url") && !slices.Contains(v.attributes, "hostname") {
		return ""
	}
	return host(v.text)
}

func host(s string) string {
	s = fold(s)
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		s = s[:i]
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = s[i+1:]
	}
	if strings.HasPrefix(s, "[") {
		s, _, _ = strings.Cut(s[1:], "]")
		return s
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.Count(s, ":") == 1 {
		s = s[:i]
	}
	return strings.TrimSuffix(s, ".")
}

// address is the text in which an IP address may stand: the value, or the host of a URL.
func (v value) address() string {
	if slices.Contains(v.attributes, "url") {
		return host(v.text)
	}
	return v.text
}
