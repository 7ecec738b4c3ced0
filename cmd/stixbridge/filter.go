package main

import (
	"fmt"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/engine"
)

// filter holds the flags that narrow what a command sees; all given ones must hold, any value within one.
type filter struct {
	Type     []string `help:"Only this STIX type; repeatable." placeholder:"TYPE" sep:"none"`
	Producer []string `help:"Only events of this producer; repeatable." placeholder:"NAME" sep:"none"`
	Op       []string `help:"Only this operation; repeatable." placeholder:"OP" sep:"none"`
	MaxTLP   string   `name:"max-tlp" help:"Nothing above this level; unmarked counts as amber." placeholder:"LEVEL"`
	Where    []string `help:"Only where this expression holds; repeatable." placeholder:"EXPR" sep:"none"`
}

func (f filter) spec() engine.Filter {
	return engine.Filter{Types: f.Type, Producers: f.Producer, Ops: f.Op, MaxTLP: f.MaxTLP, Where: f.Where}
}

func (f filter) empty() bool { return f.spec().IsEmpty() }

// compile returns the test, or says which flag is wrong.
func (f filter) compile() (func(bridge.Event) bool, error) {
	pass, err := f.spec().Compile()
	if err != nil {
		return nil, wrong(fmt.Errorf("--%w", err))
	}
	return pass, nil
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
