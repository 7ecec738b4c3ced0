package config

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// Loaded is a configuration without errors.
type Loaded struct {
	File      string
	Config    bridge.Config // with defaults; its Producers and Consumers are empty: the sections below take their place
	Producers []Producer
	Consumers []Consumer
	Warnings  []Problem

	reg *registry
}

// Producer is one section under producers.
type Producer struct {
	bridge.ProducerConfig                 // with defaults
	Producer              bridge.Producer // as the plugin's constructor made it
	Traits                bridge.Traits
	Level                 stix.TLP // of tlp; Unmarked when the section names none
	Share                 float64  // of max_delete: 0.1 for 10%

	section section
}

// Consumer is one section under consumers.
type Consumer struct {
	bridge.ConsumerConfig                 // with defaults
	Sink                  bridge.Sink     // nil for an enricher
	Enricher              bridge.Enricher // nil for a sink
	Traits                bridge.Traits
	Ceiling               stix.TLP  // of max_tlp
	Unmarked              stix.TLP  // of unmarked_as
	StartAt               time.Time // when start is a time

	section section
}

// Section returns the plugin's own keys as JSON, secrets included: never log it.
func (p Producer) Section() json.RawMessage { return p.section.own }

// Section returns the plugin's own keys as JSON, secrets included: never log it.
func (c Consumer) Section() json.RawMessage { return c.section.own }

// Place returns file:line:col of the section.
func (p Producer) Place() string { return p.section.place() }

// Place returns file:line:col of the section.
func (c Consumer) Place() string { return c.section.place() }

// section is an entry of producers or consumers.
type section struct {
	at   path
	node *node
	kind *kind
	own  json.RawMessage

	name   string // as written, also when it is not allowed
	nameAt position
	had    map[string]bool // keys that were written, also those that validation took out
}

func (s section) place() string {
	return fmt.Sprintf("%s:%d:%d", s.node.at.file, s.node.at.line, s.node.at.col)
}
