package config

import (
	"regexp"
	"slices"
	"strings"

	schema "github.com/invopop/jsonschema"
)

const (
	prefix        = "STIXBRIDGE_"
	maxSecretFile = 64 << 10
)

// environment is what was handed to Load.
type environment map[string]string

func newEnvironment(env []string) environment {
	e := environment{}
	for _, kv := range env {
		if name, value, ok := strings.Cut(kv, "="); ok {
			e[name] = value
		}
	}
	return e
}

func (e environment) lookup(name string) (string, bool) {
	v, ok := e[name]
	return v, ok
}

// VariableName returns the name of the environment variable for a key: STIXBRIDGE_NATS_URL, STIXBRIDGE_CONSUMERS_SOC_URL.
func VariableName(parts ...string) string {
	return prefix + strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(strings.Join(parts, "_")))
}

// target is a key that a variable may set.
type target struct {
	place  path
	schema *schema.Schema
}

// overlay puts the environment over the file.
func (l *loader) overlay() {
	targets := map[string][]target{}
	l.targets(targets)
	names := make([]string, 0, len(l.env))
	for name := range l.env {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		base, file := name, false
		if targets[base] == nil && strings.HasSuffix(name, "_FILE") {
			base, file = strings.TrimSuffix(name, "_FILE"), true
		}
		at := position{file: "env:" + name}
		switch t := targets[base]; {
		case len(t) == 0:
			l.unknownVariable(name, targets)
		case len(t) > 1:
			l.report.errorf(at, t[0].place.String(), "the variable also fits %s; rename one of the two", t[1].place)
		case file && l.env.has(base):
			l.report.errorf(at, t[0].place.String(), "%s is set too; keep one of them", base)
		default:
			value := l.env[name]
			if file {
				var err error
				if value, err = readSecret(value); err != nil {
					l.report.errorf(at, t[0].place.String(), "%v", err)
					continue
				}
			}
			l.assign(t[0], at, value)
		}
	}
	for _, stock := range []struct{ name, key string }{{"OPENCTI_URL", "url"}, {"OPENCTI_TOKEN", "token"}} {
		l.stock(stock.name, stock.key)
	}
}

func (e environment) has(name string) bool { _, ok := e[name]; return ok }

// stock honours the names that OpenCTI's own parts use, where nothing else says anything.
func (l *loader) stock(name, key string) {
	section := l.root.get("opencti")
	if section != nil && section.shape == mapping && (section.get(key) != nil || section.get(key+"_file") != nil) {
		return
	}
	value, at := l.env[name], position{file: "env:" + name}
	if file := l.env[name+"_FILE"]; value == "" && file != "" {
		at.file += "_FILE"
		var err error
		if value, err = readSecret(file); err != nil {
			l.report.errorf(at, "opencti."+key, "%v", err)
			return
		}
	}
	if value != "" {
		place := path{}.key("opencti").key(key)
		l.assign(target{place, under(l.reg.top, place)}, at, value)
	}
}

// targets lists every key that a variable can set, by the variable's name.
func (l *loader) targets(into map[string][]target) {
	for _, section := range keys(l.reg.top) {
		if s, _ := l.reg.top.Properties.Get(section); s.Type == "object" {
			leaves(s, path{}.key(section), VariableName(section), into)
			continue
		}
		list := l.root.get(section)
		if list == nil {
			continue
		}
		for i, item := range list.items {
			name := item.get("name").text()
			if item.shape != mapping || name == "" {
				continue
			}
			s := l.reg.common[section]
			if k := l.reg.kinds[section][item.get("kind").text()]; k != nil {
				s = k.full
			}
			leaves(s, path{}.key(section).item(i), VariableName(section, name), into)
		}
	}
}

func leaves(s *schema.Schema, at path, name string, into map[string][]target) {
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		if len(at) == 2 && (p.Key == "kind" || p.Key == "name") { // what the section is, not how it is set
			continue
		}
		place, variable := at.key(p.Key), name+"_"+VariableName(p.Key)[len(prefix):]
		if p.Value.Type == "object" && p.Value.Properties != nil {
			leaves(p.Value, place, variable, into)
			continue
		}
		if p.Value.Type == "object" || p.Value.Type == "array" && (p.Value.Items == nil || p.Value.Items.Type == "object") {
			continue // no text form
		}
		into[variable] = append(into[variable], target{place, p.Value})
	}
}

// assign sets a key from text; lists are separated by commas.
func (l *loader) assign(t target, at position, text string) {
	n := l.root
	for i, step := range t.place[:len(t.place)-1] {
		var next *node
		if step.name == "" {
			next = n.items[step.index]
		} else if next = n.get(step.name); next == nil || next.isNull() {
			next = &node{at: at, shape: mapping}
			n.set(step.name, at, next)
		}
		if next.shape != mapping && t.place[i+1].name != "" {
			return // the file is wrong there, and that is reported
		}
		n = next
	}
	v := &node{at: at, value: text, loose: true}
	if t.schema != nil && t.schema.Type == "array" {
		v = &node{at: at, shape: list}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				v.items = append(v.items, &node{at: at, value: part, loose: true})
			}
		}
	}
	last := t.place[len(t.place)-1].name
	n.drop(last + "_file")
	n.set(last, at, v)
}

// Kubernetes and Docker links put such variables next to a service named stixbridge.
var serviceVariable = regexp.MustCompile(`(_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT(_[0-9]+_(TCP|UDP)(_(ADDR|PORT|PROTO))?)?)$`)

func (l *loader) unknownVariable(name string, targets map[string][]target) {
	rest := strings.TrimPrefix(name, prefix)
	section, _, _ := strings.Cut(rest, "_")
	sections := keys(l.reg.top)
	if serviceVariable.MatchString(name) || !slices.Contains(sections, strings.ToLower(section)) {
		return // not ours to judge: STIXBRIDGE_CONFIG, STIXBRIDGE_PORT…
	}
	start := prefix + section + "_"
	var known []string
	for k := range targets {
		if strings.HasPrefix(k, start) {
			known = append(known, strings.TrimPrefix(k, start))
		}
	}
	at := position{file: "env:" + name}
	if m := meant(strings.TrimPrefix(strings.TrimSuffix(name, "_FILE"), start), sorted(known)); m != "" {
		l.report.errorf(at, "", "no key has this name; did you mean %s?", start+m)
		return
	}
	if s := strings.ToLower(section); s == "producers" || s == "consumers" {
		l.report.warnf(at, "", "no %s of this file has this name and key; the variable has no effect", strings.TrimSuffix(s, "s"))
		return
	}
	l.report.errorf(at, "", "no key has this name; see the reference for the names, or unset it")
}
