package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// importer is the producer that the command import stands for when it names no other; a gate may name it without a section.
const importer = "import"

// sources returns the names that bear events: producers, and enrichers, which publish under their own name.
func (l *loader) sources() (names []string) {
	for name, who := range l.names {
		if who.section.at[0].name == "producers" || who.section.kind == nil || who.section.kind.role == enricher {
			names = append(names, name)
		}
	}
	return sorted(names)
}

func (l *loader) checkProducers(s section, c Consumer) {
	at, key := l.placeOf(s, "producers")
	if !s.had["producers"] && c.Traits.Leaves {
		l.report.errorf(at, s.at.String(), `the key producers is missing; kind %s leaves the house: name the producers whose events may go there, or write ["*"] for all`, s.kind.name)
	}
	if l.empty(s, "producers", c.Producers == nil) {
		return
	}
	known := l.sources()
	l.checkNames(s, "producers", c.Producers, known, true)
	l.checkNames(s, "prefer", c.Prefer, known, false)
	for i, name := range c.Prefer {
		if c.Producers != nil && !slices.Contains(c.Producers, "*") && !slices.Contains(c.Producers, name) && slices.Contains(known, name) {
			pos, p := l.placeOfItem(s, "prefer", i)
			l.report.warnf(pos, p, "%s is not among the producers of this consumer; the preference has no effect", name)
		}
	}
	if slices.Equal(c.Producers, []string{s.name}) && s.kind != nil && s.kind.role == enricher {
		l.report.warnf(at, key, "can never match: an enricher does not meet what it made itself; name other producers")
	}
	l.checkCeiling(s, c, known)
}

func (l *loader) checkNames(s section, key string, names, known []string, star bool) {
	for i, name := range names {
		at, p := l.placeOfItem(s, key, i)
		switch {
		case star && name == "*", slices.Contains(known, name), name == importer:
		case l.names[name].section.kind != nil && l.names[name].section.kind.role == sink:
			l.report.errorf(at, p, "%s is a sink and produces nothing; name a producer: %s", name, listed(known))
		default:
			if l.names[name].section.node != nil { // of an unknown kind, which is reported
				continue
			}
			remedy := "known are " + listed(known)
			if m := meant(name, known); m != "" {
				remedy = `did you mean "` + m + `"? ` + remedy
			} else if len(known) == 0 {
				remedy = "there is none; add one under producers"
			}
			l.report.errorf(at, p, "no producer is named %s; %s", quoted(name), remedy)
		}
	}
}

// checkCeiling warns when nothing of what the named producers bring without a marking can pass.
func (l *loader) checkCeiling(s section, c Consumer, known []string) {
	from := known
	if c.Producers != nil && !slices.Contains(c.Producers, "*") {
		from = c.Producers
	}
	lowest, seen := stix.Unmarked, 0
	for _, name := range from {
		who := l.names[name].section
		if name == s.name && who.kind != nil && who.kind.role == enricher {
			continue
		}
		if who.node == nil || who.at[0].name != "producers" {
			return
		}
		level, err := stix.ParseTLP(who.node.get("tlp").text())
		if err != nil || level.Rank() <= c.Ceiling.Rank() {
			return
		}
		if seen++; seen == 1 || level.Rank() < lowest.Rank() {
			lowest = level
		}
	}
	if seen == 0 || c.Ceiling == stix.Unmarked {
		return
	}
	at, p := l.placeOf(s, "max_tlp")
	l.report.warnf(at, p, "can never match what carries no TLP marking of its own: max_tlp is %s, and %s set %s or higher; raise max_tlp, or name other producers",
		c.Ceiling, listed(from), lowest)
}

// empty reports a gate that is an empty list: nothing would ever pass.
func (l *loader) empty(s section, key string, absent bool) bool {
	n := s.node.get(key)
	if absent || n == nil || n.shape != list || len(n.items) > 0 {
		return false
	}
	at, p := l.placeOf(s, key)
	l.report.errorf(at, p, "can never match: the list is empty; name at least one, or remove the key to let all pass")
	return true
}

var gateOps = []string{string(bridge.Create), string(bridge.Update), string(bridge.Delete), string(bridge.Merge), string(bridge.Expire)}

func (l *loader) checkOps(s section, c Consumer) {
	if l.empty(s, "ops", c.Ops == nil) {
		return
	}
	for i, op := range c.Ops {
		at, p := l.placeOfItem(s, "ops", i)
		switch {
		case slices.Contains(gateOps, string(op)):
		case op == bridge.Retract:
			l.report.warnf(at, p, "has no effect: a retract always passes; remove it")
		default:
			l.report.errorf(at, p, "unknown operation %s; %s", quoted(string(op)), didYouMean(string(op), gateOps))
		}
	}
	if c.Ops != nil && !slices.Contains(c.Ops, bridge.Update) && len(c.Changed) > 0 {
		at, p := l.placeOf(s, "changed")
		l.report.warnf(at, p, "has no effect: ops leaves updates out; add update to ops, or remove changed")
	}
	if len(c.Ops) > 0 && !slices.ContainsFunc(c.Ops, func(o bridge.Op) bool { return o != bridge.Retract }) {
		at, p := l.placeOf(s, "ops")
		l.report.warnf(at, p, "can never match: only what passed before is retracted; add create and update")
	}
}

var stixType = regexp.MustCompile(`^[a-z0-9-]{1,250}$`)

func (l *loader) checkTypes(s section, c Consumer) {
	if l.empty(s, "types", c.Types == nil) {
		return
	}
	for i, t := range c.Types {
		at, p := l.placeOfItem(s, "types", i)
		m := meant(t, types)
		switch {
		case slices.Contains(types, t):
		case !stixType.MatchString(t) && m != "":
			l.report.errorf(at, p, `%s is no STIX type; did you mean "%s"?`, quoted(t), m)
		case !stixType.MatchString(t):
			l.report.errorf(at, p, "%s is no STIX type; write lower-case letters, digits and -, such as indicator or x-custom", quoted(t))
		case m != "" && !strings.HasPrefix(t, "x-"):
			l.report.warnf(at, p, `can never match unless a source makes up types: STIX knows no %s; did you mean "%s"?`, t, m)
		}
	}
}

// types of STIX 2.1, and those that OpenCTI adds.
var types = []string{
	"attack-pattern", "campaign", "course-of-action", "grouping", "identity", "incident", "indicator", "infrastructure", "intrusion-set",
	"location", "malware", "malware-analysis", "note", "observed-data", "opinion", "report", "threat-actor", "tool", "vulnerability",
	"relationship", "sighting", "marking-definition", "language-content", "extension-definition", "bundle",
	"artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file", "ipv4-addr", "ipv6-addr",
	"mac-addr", "mutex", "network-traffic", "process", "software", "url", "user-account", "windows-registry-key", "x509-certificate",
	"case-incident", "case-rfi", "case-rft", "channel", "event", "feedback", "narrative", "task", "data-component", "data-source",
	"bank-account", "credential", "cryptocurrency-wallet", "cryptographic-key", "hostname", "media-content", "payment-card", "persona",
	"phone-number", "text", "tracking-number", "user-agent", "x-mitre-tactic", "x-mitre-matrix", "x-mitre-data-component",
	"x-mitre-data-source", "x-mitre-asset", "x-mitre-collection", "x-mitre-detection-strategy", "x-mitre-analytic",
}

func (l *loader) checkWhere(s section, c Consumer) {
	n := s.node.get("where")
	if n == nil {
		return
	}
	at, p := l.placeOf(s, "where")
	if strings.TrimSpace(c.Where) == "" {
		l.report.errorf(at, p, "is empty; write an expression such as score() >= 70, or remove the key to let all pass")
		return
	}
	if l.plugins.CompileWhere == nil {
		return
	}
	if err := l.plugins.CompileWhere(c.Where); err != nil {
		var in interface{ Column() int }
		if errors.As(err, &in) {
			at = l.doc.inside(n, in.Column())
		}
		l.report.errorf(at, p, "%v", err)
	}
}

var identityID = regexp.MustCompile(`^identity--[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (l *loader) checkLists(s section, c Consumer) {
	l.empty(s, "changed", c.Changed == nil)
	l.empty(s, "organizations", c.Organizations == nil)
	for i, id := range c.Organizations {
		if !identityID.MatchString(id) {
			at, p := l.placeOfItem(s, "organizations", i)
			l.report.errorf(at, p, "%s is no id of an identity; write its STIX id, identity--…", quoted(id))
		}
	}
	for i, property := range c.Changed {
		if strings.ContainsAny(property, "/ ") || property == "" {
			at, p := l.placeOfItem(s, "changed", i)
			l.report.errorf(at, p, "%s is no property; write the name of a top-level property such as confidence", quoted(property))
		}
	}
}

func listed(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}
