// Package consumers lists every kind of sink and enricher: one line each. A kind that is not here does not exist.
package consumers

import (
	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/consumers/file"
	"github.com/stixbridge/stixbridge/consumers/opencti"
	"github.com/stixbridge/stixbridge/consumers/warninglist"
	"github.com/stixbridge/stixbridge/consumers/webhook"
)

// Sinks returns the kinds of sinks in the order of the reference page.
func Sinks() []bridge.Plugin[bridge.Sink] {
	return []bridge.Plugin[bridge.Sink]{
		opencti.Plugin,
		file.Plugin,
		webhook.Plugin,
	}
}

// Enrichers returns the kinds of enrichers in the order of the reference page.
func Enrichers() []bridge.Plugin[bridge.Enricher] {
	return []bridge.Plugin[bridge.Enricher]{
		warninglist.Plugin,
	}
}
