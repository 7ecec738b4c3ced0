package config

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// named is who bears a name.
type named struct {
	section section
	at      position // of the name
}

// register notes who has which name, and reports names that are there twice.
func (l *loader) register(sections []section) {
	l.names = map[string]named{}
	for _, s := range sections {
		if s.name == "" {
			continue
		}
		if first, dup := l.names[s.name]; dup {
			l.report.errorf(s.nameAt, s.at.key("name").String(), "the name %s is taken by %s (line %d); names are unique across producers and consumers, choose another",
				s.name, first.section.at, first.at.line)
			l.broken(s.at)
			continue
		}
		l.names[s.name] = named{s, s.nameAt}
	}
}

// common decodes the runtime's keys of a section over their defaults.
func (l *loader) common(s section, into any) {
	known := l.reg.common[s.at[0].name]
	part := s.node.only(func(name string) bool { _, ok := known.Properties.Get(name); return ok })
	if err := json.Unmarshal(part.json(), into); err != nil {
		l.report.errorf(s.node.at, s.at.String(), "%v; see the reference for what is allowed", err)
		l.broken(s.at)
	}
}

// construct runs the plugin's constructor over its own keys; nil when the section is wrong.
func (l *loader) construct(s *section, common any) any {
	if s.kind == nil {
		return nil
	}
	part := s.node.only(s.kind.owns)
	// What both declare, the plugin gets with the runtime's default.
	text, _ := json.Marshal(common)
	var effective map[string]json.RawMessage
	_ = json.Unmarshal(text, &effective)
	var own map[string]json.RawMessage
	_ = json.Unmarshal(part.json(), &own)
	for key, value := range effective {
		if _, set := own[key]; !set && s.kind.owns(key) {
			own[key] = value
		}
	}
	s.own, _ = json.Marshal(own)
	if l.unsound[s.at.String()] {
		return nil
	}
	built, err := s.kind.build(s.own)
	bridge.EachKey(err, func(key string, err error) {
		rel := parsePath(key)
		at := s.node.at
		if key != "" {
			at = s.node.keyAt(rel)
			if v, ok := s.node.find(rel); ok {
				at = v.at
			}
		}
		l.report.errorf(at, append(s.at[:2:2], rel...).String(), "%v", err)
	})
	if err != nil {
		return nil
	}
	return built
}

func (l *loader) producer(s section) {
	p := Producer{ProducerConfig: producerDefaults()}
	l.common(s, &p.ProducerConfig)
	p.Level = l.level(s, "tlp", p.TLP)
	l.checkWas(s, p.Was)
	at := func(key string) (position, string) { return l.placeOf(s, key) }
	share, err := strconv.ParseFloat(strings.TrimSuffix(p.MaxDelete, "%"), 64)
	if p.Share = share / 100; err != nil || share > 100 {
		pos, key := at("max_delete")
		l.report.errorf(pos, key, "%s does not fit; write a share from 0%% to 100%%", quoted(p.MaxDelete))
	}
	if s.node.get("every") != nil {
		pos, key := at("every")
		switch every := time.Duration(p.Every); {
		case every == 0:
			l.report.errorf(pos, key, "is no pause; write a duration such as 1h, or remove the key to read the source once")
		case every < time.Second:
			l.report.errorf(pos, key, "%s would poll without pause; write at least 1s", every)
		case s.kind != nil && (s.kind.traits.Live || s.kind.traits.Push):
			l.report.warnf(pos, key, "has no effect: kind %s is not polled; remove it", s.kind.name)
		}
	}
	if s.kind != nil {
		p.Traits = s.kind.traits
	}
	if built, ok := l.construct(&s, p.ProducerConfig).(bridge.Producer); ok {
		p.Producer = built
	}
	p.section = s
	l.out.Producers = append(l.out.Producers, p)
}

func (l *loader) consumer(s section) {
	c := Consumer{ConsumerConfig: consumerDefaults(s.kind)}
	l.common(s, &c.ConsumerConfig)
	c.Ceiling = l.level(s, "max_tlp", c.MaxTLP)
	c.Unmarked = l.level(s, "unmarked_as", c.UnmarkedAs)
	if s.kind != nil {
		c.Traits = s.kind.traits
	}
	l.checkWas(s, c.Was)
	l.checkStart(s, &c)
	l.checkProducers(s, c)
	l.checkOps(s, c)
	l.checkTypes(s, c)
	l.checkWhere(s, c)
	l.checkLists(s, c)
	if s.node.get("timeout") != nil && c.Timeout == 0 {
		pos, key := l.placeOf(s, "timeout")
		l.report.errorf(pos, key, "leaves no time; write a duration such as 60s")
	}
	if c.Traits.Ordered && c.Concurrency > 1 {
		pos, key := l.placeOf(s, "concurrency")
		l.report.errorf(pos, key, "kind %s writes to one ordered medium; write 1, or remove the key", s.kind.name)
	}
	switch built := l.construct(&s, c.ConsumerConfig).(type) {
	case bridge.Sink:
		c.Sink = built
	case bridge.Enricher:
		c.Enricher = built
	}
	c.section = s
	l.out.Consumers = append(l.out.Consumers, c)
}

// placeOf returns where the value of a key stands, or what comes closest, and the key's path.
func (l *loader) placeOf(s section, key string) (position, string) {
	at := s.node.at
	if v := s.node.get(key); v != nil {
		at = v.at
	}
	return at, s.at.key(key).String()
}

// placeOfItem is placeOf for an item of a list.
func (l *loader) placeOfItem(s section, key string, i int) (position, string) {
	at, _ := l.placeOf(s, key)
	if v := s.node.get(key); v != nil && i < len(v.items) {
		at = v.items[i].at
	}
	return at, s.at.key(key).item(i).String()
}

// level reads a TLP; an empty text is Unmarked.
func (l *loader) level(s section, key, text string) stix.TLP {
	if text == "" && s.node.get(key) == nil {
		return stix.Unmarked
	}
	level, err := stix.ParseTLP(text)
	if err != nil || level == stix.Unmarked {
		at, p := l.placeOf(s, key)
		l.report.errorf(at, p, "%s is no TLP level; write clear, green, amber, amber+strict or red", got(orText(s.node.get(key), text), nil))
	}
	return level
}

func orText(n *node, text string) *node {
	if n != nil {
		return n
	}
	return &node{value: text}
}

func (l *loader) checkWas(s section, was string) {
	if was == "" {
		return
	}
	at, key := l.placeOf(s, "was")
	if other, taken := l.names[was]; taken {
		if other.section.at.String() == s.at.String() {
			l.report.errorf(at, key, "is the present name; write the former one, or remove the key")
			return
		}
		l.report.errorf(at, key, "%s is the name of %s (line %d); a former name must be free", was, other.section.at, other.at.line)
	}
}

func (l *loader) checkStart(s section, c *Consumer) {
	switch c.Start {
	case "new", "latest", "all":
		return
	}
	at, key := l.placeOf(s, "start")
	t, err := time.Parse(time.RFC3339, c.Start)
	switch {
	case err != nil:
		remedy := "write new, latest, all or a time such as 2026-01-31T00:00:00Z"
		if m := meant(c.Start, []string{"new", "latest", "all"}); m != "" {
			remedy = `did you mean "` + m + `"?`
		}
		l.report.errorf(at, key, "%s does not fit; %s", got(orText(s.node.get("start"), c.Start), nil), remedy)
	case t.After(l.now()):
		l.report.errorf(at, key, "%s lies in the future; write new to begin now, or an earlier time", c.Start)
	}
	c.StartAt = t
}
