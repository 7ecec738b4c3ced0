// Package producers lists every kind of producer: one line each. A kind that is not here does not exist.
package producers

import (
	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/producers/opencti"
	"github.com/stixbridge/stixbridge/producers/stix"
)

// All returns the kinds in the order of the reference page.
func All() []bridge.Plugin[bridge.Producer] {
	return []bridge.Plugin[bridge.Producer]{
		stix.Plugin,
		opencti.Plugin,
	}
}
