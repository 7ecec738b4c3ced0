package config

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	schema "github.com/invopop/jsonschema"
	yaml "github.com/oasdiff/yaml3"

	"github.com/stixbridge/stixbridge/bridge"
)

// Redacted returns the effective configuration as YAML: the file, the environment and the defaults, without any secret.
func Redacted(l *Loaded) []byte {
	top := tree(l.Config)
	for _, p := range l.Producers {
		appendTo(top, "producers", effective(p.section, p.ProducerConfig))
	}
	for _, c := range l.Consumers {
		appendTo(top, "consumers", effective(c.section, c.ConsumerConfig))
	}
	s := *l.reg.top
	out := &yaml.Node{Kind: yaml.MappingNode}
	for _, key := range keys(&s) {
		v, ok := top[key]
		if !ok {
			continue
		}
		entry := &yaml.Node{Kind: yaml.SequenceNode}
		switch key {
		case "producers":
			for i, p := range l.Producers {
				entry.Content = append(entry.Content, shown(v.([]any)[i], p.section.kind.full))
			}
		case "consumers":
			for i, c := range l.Consumers {
				entry.Content = append(entry.Content, shown(v.([]any)[i], c.section.kind.full))
			}
		default:
			entry = shown(v, under(&s, path{}.key(key)))
		}
		out.Content = append(out.Content, text(key), entry)
	}
	b, err := yaml.Marshal(out)
	if err != nil { // a tree of plain scalars cannot fail
		return []byte("# " + err.Error() + "\n")
	}
	return b
}

// tree is a value as JSON has it.
func tree(v any) map[string]any {
	b, _ := json.Marshal(v)
	m := map[string]any{}
	_ = json.Unmarshal(b, &m)
	return m
}

func appendTo(m map[string]any, key string, v any) {
	l, _ := m[key].([]any)
	m[key] = append(l, v)
}

// effective joins the runtime's keys, the plugin's defaults and the plugin's own keys.
func effective(s section, common any) map[string]any {
	m := tree(s.kind.defaults)
	var own map[string]any
	_ = json.Unmarshal(s.own, &own)
	for _, layer := range []map[string]any{tree(common), own} {
		for k, v := range layer {
			m[k] = v
		}
	}
	return m
}

// shown writes a value with its keys in the schema's order and its secrets hidden.
func shown(v any, s *schema.Schema) *yaml.Node {
	switch v := v.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode}
		var rest []string
		for k := range v {
			rest = append(rest, k)
		}
		seen := map[string]bool{}
		for _, k := range append(keys(s), sorted(rest)...) {
			if value, ok := v[k]; ok && !seen[k] {
				seen[k] = true
				if m, isMap := value.(map[string]any); isMap && len(m) == 0 {
					continue
				}
				n.Content = append(n.Content, text(k), shown(value, under(s, path{}.key(k))))
			}
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range v {
			if _, isMap := item.(map[string]any); isMap {
				n.Style = 0
			}
			n.Content = append(n.Content, shown(item, under(s, path{}.item(0))))
		}
		return n
	case string:
		if isSecret(s) {
			v = bridge.Secret(v).String()
		}
		return text(withoutPassword(compact(v, s)))
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	case float64:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatFloat(v, 'f', -1, 64)}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

// compact writes a duration as people do: 30d, 24h, 1m.
func compact(text string, s *schema.Schema) string {
	if s == nil || s.Format != "duration" {
		return text
	}
	d, err := bridge.ParseDuration(text)
	if err != nil {
		return text
	}
	for _, u := range []struct {
		name string
		span time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if d >= u.span && d%u.span == 0 && !(u.span == day && d == day) {
			return strconv.FormatInt(int64(d/u.span), 10) + u.name
		}
	}
	return d.String()
}

func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

// withoutPassword hides the password of every address in a text such as nats://u:p@a,nats://u:p@b.
func withoutPassword(s string) string {
	if !strings.Contains(s, "@") || !strings.Contains(s, "://") {
		return s
	}
	parts := strings.Split(s, ",")
	for i, part := range parts {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil {
			parts[i] = bridge.Secret("x").String()
			continue
		}
		if _, has := u.User.Password(); has {
			u.User = url.UserPassword(u.User.Username(), "hidden")
			parts[i] = u.String()
		}
	}
	return strings.Join(parts, ",")
}
