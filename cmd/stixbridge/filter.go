package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/where"
	"github.com/stixbridge/stixbridge/stix"
)

// filter holds the flags that narrow what a command sees; all given ones must hold, any value within one.
type filter struct {
	Type     []string `help:"Only this STIX type; repeatable." placeholder:"TYPE" sep:"none"`
	Producer []string `help:"Only events of this producer; repeatable." placeholder:"NAME" sep:"none"`
	Op       []string `help:"Only this operation; repeatable." placeholder:"OP" sep:"none"`
	MaxTLP   string   `name:"max-tlp" help:"Nothing above this level; unmarked counts as amber." placeholder:"LEVEL"`
	Where    []string `help:"Only where this expression holds; repeatable." placeholder:"EXPR" sep:"none"`
}

func (f filter) empty() bool {
	return len(f.Type)+len(f.Producer)+len(f.Op)+len(f.Where) == 0 && f.MaxTLP == ""
}

// compile returns the test, or says which flag is wrong.
func (f filter) compile() (func(bridge.Event) bool, error) {
	ceiling := stix.Red
	if f.MaxTLP != "" {
		var err error
		if ceiling, err = stix.ParseTLP(f.MaxTLP); err != nil {
			return nil, wrong(fmt.Errorf("--max-tlp: %w", err))
		}
	}
	ops := []string{"create", "update", "delete", "merge", "expire", "retract"}
	for _, op := range f.Op {
		if !slices.Contains(ops, op) {
			return nil, wrong(fmt.Errorf("--op %s: want one of %v", op, ops))
		}
	}
	var programs []*where.Program
	for _, src := range f.Where {
		p, err := where.Compile(src)
		if err != nil {
			return nil, wrong(fmt.Errorf("--where %q: %w", src, err))
		}
		programs = append(programs, p)
	}
	return func(e bridge.Event) bool {
		ok := (len(f.Type) == 0 || slices.Contains(f.Type, e.Object.Type())) &&
			(len(f.Producer) == 0 || slices.Contains(f.Producer, e.Producer)) &&
			(len(f.Op) == 0 || slices.Contains(f.Op, string(e.Op))) && e.TLP.Rank() <= ceiling.Rank()
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

// span is a part of the log, by time or by sequence.
type span struct {
	Since   string `help:"From this time on: 1h, 7d, or RFC 3339." placeholder:"TIME"`
	FromSeq uint64 `name:"from-seq" help:"From this sequence on." placeholder:"N"`
}

// when reads a time, or a time span back from now.
func when(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	d, err := bridge.ParseDuration(s)
	if err != nil {
		return time.Time{}, wrong(fmt.Errorf("%q: want a time span such as 1h or 7d, or a time such as 2026-01-02T15:04:05Z", s))
	}
	return time.Now().Add(-d), nil
}
