package gate

import (
	"fmt"
	"strings"
)

// Remedy says what to set when a consumer was not meant to hold events back at this gate.
func (g *Gate) Remedy(gate string) string {
	switch gate {
	case Producers:
		return "add the producer to producers, or set producers: [\"*\"]"
	case Types:
		return "add the type to types, or leave types out"
	case MaxTLP:
		return fmt.Sprintf("the ceiling is %s (unmarked counts as %s): raise max_tlp, set unmarked_as, or give the producer a tlp", g.ceiling, g.unmarked)
	case Markings:
		return "list the marking's id or name in allow_markings, or \"*\" for any"
	case Organizations:
		return "list an organization that the object is shared with in organizations"
	case Where:
		return "widen where; a comparison with a property that an object does not have is false"
	case Expired:
		return "set expired: true to take objects whose valid_until was over when they came in"
	case Ops:
		return "add the operation to ops, or leave ops out"
	case Changed:
		return "name the properties that matter in changed (" + strings.Join(g.changed, ", ") + " now), or leave it out"
	case Backfill:
		return "set backfill: true to take a first import or a recovery as news"
	case Prefer:
		return "a producer that stands before it in prefer asserts the same object"
	case Superseded:
		return "nothing: a later event says the same"
	}
	return ""
}
