package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Load reads a configuration file, puts the environment (as os.Environ gives it) over it and checks everything that can be
// checked without a network. Its error is Problems when the configuration is wrong: all that is wrong, not the first thing.
// Relative paths in the file are relative to the working directory, as on a command line. The file itself is never changed.
func Load(file string, env []string, plugins Plugins) (*Loaded, error) {
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, Problems{{File: file, Message: "there is no such file; name another with -c, or create it"}}
	case err != nil:
		return nil, Problems{{File: file, Message: fmt.Sprintf("cannot read it: %v; check path and permissions", plainError(err))}}
	}
	return Parse(file, text, env, plugins)
}

// Parse is Load for text that is already there; file names it in messages.
func Parse(file string, text []byte, env []string, plugins Plugins) (*Loaded, error) {
	reg, err := newRegistry(plugins)
	if err != nil {
		return nil, err
	}
	return parse(file, text, env, plugins, reg)
}

func parse(file string, text []byte, env []string, plugins Plugins, reg *registry) (*Loaded, error) {
	l := &loader{
		reg: reg, env: newEnvironment(env), plugins: plugins, now: time.Now,
		out: &Loaded{File: file, reg: reg}, unsound: map[string]bool{},
	}
	l.load(file, text)
	problems, warnings := l.report.split()
	if len(problems) > 0 {
		return &Loaded{File: file, Warnings: warnings}, problems
	}
	l.out.Warnings = warnings
	return l.out, nil
}

// loader holds what the steps of one load share.
type loader struct {
	reg     *registry
	env     environment
	plugins Plugins
	now     func() time.Time
	report  report
	doc     *document
	root    *node
	out     *Loaded
	unsound map[string]bool // sections that hold a problem: their plugin is not built
	names   map[string]named

	external  bool // the file names a NATS server, rightly or not
	hadTokens bool
}

func (l *loader) load(file string, text []byte) {
	l.doc = newDocument(file, text, l.env.lookup, &l.report)
	if l.root = l.doc.read(text); l.root == nil {
		return
	}
	if l.root.shape != mapping {
		l.report.errorf(l.root.at, "", "%s does not fit; write keys and values: nats, http, opencti, log, producers, consumers", got(l.root, nil))
		return
	}
	l.overlay()
	l.inherit()
	l.settle(l.root, l.reg.top, nil)
	l.secretFiles(l.root, l.reg.top, nil)
	nats := l.root.get("nats")
	l.external = nats.get("url") != nil || nats.get("context") != nil
	tokens := l.root.get("http").get("tokens")
	l.hadTokens = tokens.get("viewer") != nil || tokens.get("operator") != nil
	l.validate(l.root, l.reg.top, l.reg.topJudge, nil)
	sections := append(l.sections("producers"), l.sections("consumers")...)
	l.decodeTop()
	l.register(sections)
	l.checkTop()
	for _, s := range sections {
		if s.at[0].name == "producers" {
			l.producer(s)
		} else {
			l.consumer(s)
		}
	}
}

// broken marks the section that a place lies in.
func (l *loader) broken(at path) {
	if len(at) >= 2 {
		l.unsound[at[:2].String()] = true
	}
}

// inherit gives sections of the OpenCTI kinds the platform of the section opencti. A token never goes to another address
// than the one it was given with.
func (l *loader) inherit() {
	platform := l.root.get("opencti")
	if platform == nil || platform.shape != mapping {
		return
	}
	for _, name := range []string{"producers", "consumers"} {
		list := l.root.get(name)
		if list == nil {
			continue
		}
		for _, s := range list.items {
			k := l.reg.kinds[name][s.get("kind").text()]
			if s.shape != mapping || k == nil || !inherits(k.name) {
				continue
			}
			if own := s.get("url"); own != nil && own.text() != platform.get("url").text() {
				continue
			}
			for _, f := range platform.fields {
				key := f.name
				if f.name == "token_file" {
					key = "token"
				}
				if k.owns(key) && s.get(key) == nil && s.get(key+"_file") == nil {
					copied := *f.value
					s.set(f.name, f.key, &copied)
				}
			}
		}
	}
}

// sections validates the entries of a list, each by its kind.
func (l *loader) sections(list string) (out []section) {
	n := l.root.get(list)
	if n == nil {
		return nil
	}
	for i, item := range n.items {
		s := section{at: path{}.key(list).item(i), node: item}
		if item.shape != mapping {
			continue // reported with the list
		}
		s.had = map[string]bool{}
		for _, f := range item.fields {
			s.had[f.name] = true
		}
		kindNode, name := item.get("kind"), item.get("name")
		if s.name = name.text(); s.name != "" {
			s.nameAt = name.at
		}
		s.kind = l.reg.kinds[list][kindNode.text()]
		full, by := l.reg.common[list], l.reg.loose[list]
		if s.kind != nil {
			full, by = s.kind.full, s.kind.judge
		}
		l.settle(item, full, s.at)
		l.secretFiles(item, full, s.at)
		if wrong := item.wrong(); !l.validate(item, full, by, s.at) || wrong {
			l.broken(s.at)
		}
		if s.kind == nil {
			l.unknownKind(kindNode, s, list)
		}
		out = append(out, s)
	}
	return out
}

func (l *loader) unknownKind(n *node, s section, list string) {
	l.broken(s.at)
	at, known := s.node.at, l.reg.names(list)
	switch {
	case n == nil || n.isNull():
		l.report.errorf(at, s.at.String(), "the key kind is missing; add it, known are %s", listed(known))
	case n.text() == "":
		l.report.errorf(n.at, s.at.key("kind").String(), "%s does not fit; write one of %s", got(n, nil), listed(known))
		s.node.drop("kind")
	default:
		other := map[string]string{"producers": "consumers", "consumers": "producers"}[list]
		if k := l.reg.kinds[other][n.text()]; k != nil {
			l.report.errorf(n.at, s.at.key("kind").String(), "%s is a %s; move the section to %s", n.text(), k.role, other)
			return
		}
		word := n.text()
		if n.loose {
			l.report.errorf(n.at, s.at.key("kind").String(), "unknown kind; known are %s", listed(known))
			return
		}
		remedy := "known are " + listed(known)
		if m := meant(word, known); m != "" {
			remedy = `did you mean "` + m + `"? ` + remedy
		}
		l.report.errorf(n.at, s.at.key("kind").String(), "unknown kind %s; %s", quoted(word), remedy)
	}
}

func (l *loader) decodeTop() {
	l.out.Config = Defaults()
	top := l.root.only(func(name string) bool { return name != "producers" && name != "consumers" })
	if err := json.Unmarshal(top.json(), &l.out.Config); err != nil {
		l.report.errorf(l.root.at, "", "%v; see the reference for what is allowed", err)
	}
	if c := &l.out.Config.NATS; c.Replicas == 0 {
		c.Replicas = 1
		if c.URL != "" || c.Context != "" {
			c.Replicas = 3
		}
	}
}
