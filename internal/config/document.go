package config

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"strings"

	yaml "github.com/oasdiff/yaml3"
)

const (
	maxFile  = 4 << 20 // bytes of a configuration file
	maxNodes = 200_000 // values after aliases are resolved: far above any real file, far below what harms
	maxDepth = 100
)

// document turns the text of one YAML document into nodes.
type document struct {
	file   string
	lines  []string
	lookup func(string) (string, bool)
	report *report
	count  int
	active map[*yaml.Node]bool // aliases on the way down, to notice one that holds itself
	failed bool
}

func newDocument(file string, text []byte, lookup func(string) (string, bool), r *report) *document {
	return &document{file: file, lines: strings.Split(string(text), "\n"), lookup: lookup, report: r, active: map[*yaml.Node]bool{}}
}

// read parses text; nil means that nothing can be said about its content, and the report says why.
//
// It reads the parser's own nodes because they hold the position of every key and value, also behind anchors and merges,
// which a decoded value with origins does not.
func (d *document) read(text []byte) *node {
	file, r := d.file, d.report
	if len(text) > maxFile {
		r.errorf(position{file: file}, "", "the file has %d bytes, the limit is %d; is this the configuration?", len(text), maxFile)
		return nil
	}
	if i := invalidText(text); i >= 0 {
		r.errorf(d.offset(text, i), "", "byte 0x%02x is not allowed in YAML; save the file as UTF-8 text", text[i])
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var root yaml.Node
	err := dec.Decode(&root)
	if err == io.EOF {
		r.errorf(position{file, 1, 1}, "", "the file is empty; add at least one producer and one consumer")
		return nil
	}
	if err != nil {
		r.errorf(d.syntax(text, err))
		return nil
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		r.errorf(position{file, second.Line, max(second.Column, 1)}, "", "a second document begins here and would be ignored; keep one document, without --- between keys")
		return nil
	case err != io.EOF:
		r.errorf(d.syntax(text, err))
		return nil
	}
	if len(root.Content) == 0 || isNullNode(root.Content[0]) {
		r.errorf(position{file, 1, 1}, "", "the file is empty; add at least one producer and one consumer")
		return nil
	}
	n := d.node(root.Content[0], nil, 0)
	if d.failed {
		return nil
	}
	return n
}

func isNullNode(y *yaml.Node) bool { return y.Kind == yaml.ScalarNode && y.ShortTag() == "!!null" }

func (d *document) at(y *yaml.Node) position { return position{d.file, y.Line, y.Column} }

// fatal reports a problem after which the content cannot be trusted.
func (d *document) fatal(at position, p path, format string, args ...any) {
	if !d.failed {
		d.report.errorf(at, p.String(), format, args...)
	}
	d.failed = true
}

func (d *document) node(y *yaml.Node, p path, depth int) *node {
	n := &node{at: d.at(y)}
	if d.count++; d.count > maxNodes || depth > maxDepth {
		d.fatal(n.at, p, "too many values, or too deeply nested (limits %d and %d); check the aliases", maxNodes, maxDepth)
		return n
	}
	switch y.Kind {
	case yaml.AliasNode:
		if d.active[y.Alias] || y.Alias == nil {
			d.fatal(n.at, p, "alias *%s holds itself; remove it", y.Value)
			return n
		}
		d.active[y.Alias] = true
		defer delete(d.active, y.Alias)
		return d.node(y.Alias, p, depth+1)
	case yaml.SequenceNode:
		n.shape = list
		for i, item := range y.Content {
			n.items = append(n.items, d.node(item, p.item(i), depth+1))
		}
	case yaml.MappingNode:
		n.shape = mapping
		d.mapping(n, y, p, depth)
	default:
		d.scalar(n, y, p)
	}
	return n
}

func (d *document) mapping(n *node, y *yaml.Node, p path, depth int) {
	first := map[string]int{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		for k.Kind == yaml.AliasNode && k.Alias != nil {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			d.report.errorf(d.at(k), p.String(), "a key must be a word; found a list or mapping, put text with {, [ or * in quotes")
			continue
		}
		if k.ShortTag() == "!!merge" {
			merged = append(merged, v)
			continue
		}
		name := k.Value
		if line, dup := first[name]; dup {
			d.report.errorf(d.at(k), p.key(name).String(), "the key is there twice, first in line %d; keep one of them", line)
			continue
		}
		first[name] = k.Line
		n.fields = append(n.fields, field{name, d.at(k), d.node(v, p.key(name), depth+1)})
	}
	for _, m := range merged {
		d.merge(n, m, p, depth)
	}
}

// merge adds what << brings; keys that the mapping has itself win, and so do earlier merges.
func (d *document) merge(n *node, y *yaml.Node, p path, depth int) {
	src := d.node(y, p, depth+1)
	from := []*node{src}
	if src.shape == list {
		from = src.items
	}
	for _, m := range from {
		if m.shape != mapping {
			d.report.errorf(d.at(y), p.String(), "<< wants a mapping; give it an alias such as *defaults")
			continue
		}
		for _, f := range m.fields {
			if n.get(f.name) == nil {
				n.fields = append(n.fields, f)
			}
		}
	}
}

func (d *document) scalar(n *node, y *yaml.Node, p path) {
	text, expanded := y.Value, false
	if strings.Contains(text, "$") {
		var err error
		if text, expanded, err = expand(text, d.lookup); err != nil {
			d.report.errorf(n.at, p.String(), "%v", err)
			n.value, n.loose, n.failed = "", true, true
			return
		}
	}
	tag := y.ShortTag()
	if expanded {
		n.value, n.loose = text, true
		return
	}
	switch tag {
	case "!!str", "!!timestamp":
		n.value = text
		n.exact = text == y.Value && d.standsAt(y)
	case "!!null":
	case "!!bool", "!!int", "!!float":
		var v any
		if err := y.Decode(&v); err != nil {
			d.report.errorf(n.at, p.String(), "%q is no value of type %s; put it in quotes if it is text", y.Value, strings.TrimPrefix(tag, "!!"))
			return
		}
		n.value = d.number(n, y, p, v)
	default:
		d.report.errorf(n.at, p.String(), "the tag %s is not supported; remove it", y.Tag)
		n.value = text
	}
}

func (d *document) number(n *node, y *yaml.Node, p path, v any) any {
	switch v := v.(type) {
	case bool:
		return v
	case int:
		return json.Number(strconv.Itoa(v))
	case int64:
		return json.Number(strconv.FormatInt(v, 10))
	case uint64:
		return json.Number(strconv.FormatUint(v, 10))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			d.report.errorf(n.at, p.String(), "%s is not a finite number; give a number, or put it in quotes if it is text", y.Value)
			return json.Number("0")
		}
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64))
	}
	return y.Value
}

// standsAt reports whether a scalar's text is found, as it is, where the node says (behind its quote).
func (d *document) standsAt(y *yaml.Node) bool {
	if y.Line < 1 || y.Line > len(d.lines) {
		return false
	}
	rest := []rune(d.lines[y.Line-1])
	if y.Column-1 > len(rest) {
		return false
	}
	s := string(rest[y.Column-1:])
	if y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 && s != "" {
		s = s[1:]
	}
	return strings.HasPrefix(s, y.Value)
}

// inside returns the position of a character (from 1) of a scalar's text, where that can be told.
func (d *document) inside(n *node, char int) position {
	if !n.exact || char < 1 || n.at.line < 1 || n.at.line > len(d.lines) {
		return n.at
	}
	at := n.at
	line := []rune(d.lines[at.line-1])
	if at.col-1 < len(line) && (line[at.col-1] == '"' || line[at.col-1] == '\'') {
		at.col++
	}
	at.col += char - 1
	return at
}
