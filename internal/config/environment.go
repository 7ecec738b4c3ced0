package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
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

// readSecret reads a file that a *_FILE variable or a …_file key names; the line end at its end is not part of the text.
func readSecret(name string) (string, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot read the file it names: %w; give the path of a readable file", plainError(err))
	case !info.Mode().IsRegular() || info.Size() > maxSecretFile:
		return "", fmt.Errorf("%s is no regular file of at most %d bytes; give the path of a text file", name, maxSecretFile)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("cannot read the file it names: %w; give the path of a readable file", plainError(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w; give the path of a readable file", name, plainError(err))
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return "", fmt.Errorf("%s is empty; write the value into it", name)
	}
	return text, nil
}

// plainError leaves the system call's name out.
func plainError(err error) error {
	if p, ok := err.(*os.PathError); ok {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}

// secretFiles replaces token_file: path by token: content, for every key that holds a secret.
func (l *loader) secretFiles(n *node, s *schema.Schema, at path) {
	if n == nil || s == nil || n.shape != mapping || s.Properties == nil {
		return
	}
	for _, f := range slices.Clone(n.fields) {
		key, isFile := strings.CutSuffix(f.name, "_file")
		if _, declared := s.Properties.Get(f.name); declared || !isFile {
			l.secretFiles(f.value, under(s, path{}.key(f.name)), at.key(f.name))
			continue
		}
		if secret, ok := s.Properties.Get(key); !ok || !isSecret(secret) {
			continue
		}
		place := at.key(f.name).String()
		n.drop(f.name)
		switch {
		case n.get(key) != nil:
			l.report.errorf(f.key, place, "%s is set too; keep one of them", key)
		case f.value.text() == "":
			l.report.errorf(f.value.at, place, "names no file; give the path of a text file")
		default:
			text, err := readSecret(f.value.text())
			if err != nil {
				l.report.errorf(f.value.at, place, "%v", err)
				text = "?" // the key is there, so that it is not reported as missing
				l.broken(at)
			}
			n.set(key, f.key, &node{at: f.value.at, value: text, loose: true})
		}
	}
}

// settle gives text out of variables the type that the schema wants, and drops keys without a value.
func (l *loader) settle(n *node, s *schema.Schema, at path) {
	if n == nil || s == nil {
		return
	}
	switch n.shape {
	case list:
		for i, item := range n.items {
			l.settle(item, s.Items, at.item(i))
		}
	case mapping:
		for _, f := range slices.Clone(n.fields) {
			fs := under(s, path{}.key(f.name))
			if f.value.isNull() && fs != nil && fs != schema.TrueSchema && fs != schema.FalseSchema && fs.Type != "" {
				n.drop(f.name)
				if fs.Type != "object" && len(at) > 0 {
					l.report.errorf(f.key, at.key(f.name).String(), "has no value; give one, or remove the key")
					l.broken(at)
				}
				continue
			}
			l.settle(f.value, fs, at.key(f.name))
		}
	default:
		n.value = settled(n, s)
	}
}

func settled(n *node, s *schema.Schema) any {
	switch v := n.value.(type) {
	case string:
		if !n.loose {
			break
		}
		t := strings.TrimSpace(v)
		switch s.Type {
		case "boolean":
			switch strings.ToLower(t) {
			case "true", "yes", "on", "1":
				return true
			case "false", "no", "off", "0":
				return false
			}
		case "integer", "number":
			var number json.Number
			if json.Unmarshal([]byte(cmp.Or(t, "x")), &number) == nil && number != "" {
				return number
			}
		}
	case json.Number:
		if s.Type != "integer" {
			break
		}
		// 3.0 and 1e2 are whole numbers to a schema, but not to the decoder
		if f, err := v.Float64(); err == nil && f == float64(int64(f)) && strings.ContainsAny(v.String(), ".eE") {
			return json.Number(fmt.Sprintf("%d", int64(f)))
		}
	}
	return n.value
}
