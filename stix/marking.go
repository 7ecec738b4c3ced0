package stix

import (
	"strings"
	"sync"
)

// TLP2Extension is the extension that TLP 2.0 marking-definitions carry.
const TLP2Extension = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"

// Markings knows what marking-definition ids mean: those of TLP 1.0, TLP 2.0 and OpenCTI,
// and what it learned from marking-definitions that it was shown. The zero value is ready;
// it is safe for concurrent use.
type Markings struct {
	mu      sync.RWMutex
	learned map[string]marking
}

type marking struct {
	level     TLP
	tlp       bool
	statement bool
}

// Learn takes note of a marking-definition; other objects are ignored. Well-known ids keep
// their meaning, and of two contradicting definitions of one id the stricter counts, so
// that nobody can lower a level.
func (m *Markings) Learn(o Object) {
	if o.Type() != "marking-definition" {
		return
	}
	if _, known := MarkingTLP(o.ID()); known {
		return
	}
	level, tlp := definedTLP(o)
	seen := marking{level, tlp, !tlp && strings.EqualFold(o.Text("definition_type"), "statement")}
	if !seen.tlp && !seen.statement {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.learned[o.ID()]; ok && old.tlp && (!seen.tlp || old.level >= seen.level) {
		return
	}
	if m.learned == nil {
		m.learned = map[string]marking{}
	}
	// Ids and values alias the object's bytes: keep a copy, not the object.
	m.learned[strings.Clone(o.ID())] = seen
}

// definedTLP reads the level out of a marking-definition, wherever its maker put it.
func definedTLP(o Object) (TLP, bool) {
	strictest, found := Unmarked, false
	try := func(s string) {
		if level, err := ParseTLP(s); err == nil && level != Unmarked {
			strictest, found = max(strictest, level), true
		}
	}
	try(o.Text("extensions", TLP2Extension, "tlp_2_0"))
	if strings.EqualFold(o.Text("definition_type"), "tlp") {
		definition, _ := o.Get("definition")
		for _, value := range members(definition) {
			if value[0] == '"' {
				s, _ := text(value)
				try(s)
			}
		}
		try(o.Text("definition"))
	}
	if strings.EqualFold(o.Text("x_opencti_definition_type"), "tlp") {
		try(o.Text("x_opencti_definition"))
	}
	if name := o.Text("name"); len(name) > 4 && strings.EqualFold(name[:4], "TLP:") {
		try(name)
	}
	return strictest, found
}

// TLP is the strictest level among the markings of the object and of its parts, Unmarked
// if none of them is a TLP marking.
func (m *Markings) TLP(o Object) TLP {
	strictest := Unmarked
	o.eachMarking(func(id string) bool {
		if level, tlp, _ := m.Known(id); tlp {
			strictest = max(strictest, level)
		}
		return true
	})
	return strictest
}

// Known is what is known about a marking-definition id: its level if it is a TLP marking,
// or that it is a statement (a copyright or terms of use).
func (m *Markings) Known(markingID string) (level TLP, tlp, statement bool) {
	if level, ok := MarkingTLP(markingID); ok {
		return level, true, false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	seen := m.learned[markingID]
	return seen.level, seen.tlp, seen.statement
}
