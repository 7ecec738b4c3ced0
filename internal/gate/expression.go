package gate

import (
	"strings"

	"github.com/stixbridge/stixbridge/internal/where"
	"github.com/stixbridge/stixbridge/stix"
)

// Expression compiles a where expression; its error says where and what to do. resolve returns the object behind a reference, for
// author(); it may be nil. fickle says that the answer depends on other objects, and so may change without a new event.
func Expression(source string, resolve func(ref string) (stix.Object, bool)) (c Condition, fickle bool, err error) {
	p, err := where.Compile(source)
	if err != nil {
		return nil, false, err
	}
	return func(v View) (pass, missing bool, err error) {
		return p.Eval(v.Object, where.Vars{Op: string(v.Op), Producer: v.Producer, TLP: v.TLP, Resolve: resolve})
	}, strings.Contains(source, "author"), nil
}
