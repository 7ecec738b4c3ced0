package engine

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/where"
	"github.com/stixbridge/stixbridge/stix"
)

// Filter narrows events: all given keys must hold, any value within one.
type Filter struct {
	Types     []string `json:"types,omitempty"`
	Producers []string `json:"producers,omitempty"`
	Ops       []string `json:"ops,omitempty"`
	MaxTLP    string   `json:"max_tlp,omitempty"` // unmarked counts as amber
	Where     []string `json:"where,omitempty"`
}

// IsEmpty reports whether everything passes.
func (f Filter) IsEmpty() bool {
	return len(f.Types)+len(f.Producers)+len(f.Ops)+len(f.Where) == 0 && f.MaxTLP == ""
}

var ops = []string{string(bridge.Create), string(bridge.Update), string(bridge.Delete), string(bridge.Merge), string(bridge.Expire), string(bridge.Retract)}

// Compile returns the test. Its errors name the key.
func (f Filter) Compile() (func(bridge.Event) bool, error) {
	ceiling := stix.Red
	if f.MaxTLP != "" {
		var err error
		if ceiling, err = stix.ParseTLP(f.MaxTLP); err != nil {
			return nil, fmt.Errorf("max-tlp: %w", err)
		}
	}
	for _, op := range f.Ops {
		if !slices.Contains(ops, op) {
			return nil, fmt.Errorf("op %s: want one of %v", op, ops)
		}
	}
	var programs []*where.Program
	for _, src := range f.Where {
		p, err := where.Compile(src)
		if err != nil {
			return nil, fmt.Errorf("where %q: %w", src, err)
		}
		programs = append(programs, p)
	}
	return func(e bridge.Event) bool {
		ok := (len(f.Types) == 0 || slices.Contains(f.Types, e.Object.Type())) &&
			(len(f.Producers) == 0 || slices.Contains(f.Producers, e.Producer)) &&
			(len(f.Ops) == 0 || slices.Contains(f.Ops, string(e.Op))) && e.TLP.Rank() <= ceiling.Rank()
		for _, p := range programs {
			if !ok {
				return false
			}
			pass, _, err := p.Eval(e.Object, where.Vars{Op: string(e.Op), Producer: e.Producer, TLP: e.TLP})
			ok = pass && err == nil
		}
		return ok
	}, nil
}

// matcher reads the filter of a replay order.
func matcher(spec json.RawMessage) (func(bridge.Event) bool, error) {
	var f Filter
	if err := json.Unmarshal(spec, &f); err != nil {
		return nil, err
	}
	return f.Compile()
}
