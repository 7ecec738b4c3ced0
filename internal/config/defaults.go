package config

import (
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

const (
	day        = 24 * time.Hour
	maxShare   = "10%"
	batch      = 256
	replayRate = 1000
)

// Defaults returns what holds where the configuration says nothing. nats.replicas depends on the server and nats.max_bytes on
// the disk: both are zero here, and the second stays so until the log is opened.
func Defaults() bridge.Config {
	return bridge.Config{
		NATS: bridge.NATSConfig{
			Dir: "./data", Listen: "127.0.0.1:4222", MaxAge: bridge.Duration(30 * day), MaxKeys: 5_000_000, Partitions: 16,
		},
		HTTP: bridge.HTTPConfig{Listen: "127.0.0.1:8321"},
		Log:  bridge.LogConfig{Level: "info", Format: "auto"},
	}
}

func producerDefaults() bridge.ProducerConfig { return bridge.ProducerConfig{MaxDelete: maxShare} }

// consumerDefaults depend on what kind of target it is.
func consumerDefaults(k *kind) bridge.ConsumerConfig {
	c := bridge.ConsumerConfig{
		Start: "new", MaxTLP: stix.Red.String(), UnmarkedAs: stix.Amber.String(), OnDelete: "auto",
		Concurrency: 1, Batch: batch, Timeout: bridge.Duration(time.Minute), ReplayRate: replayRate,
	}
	if k == nil {
		return c
	}
	switch {
	case k.traits.Start != "":
		c.Start = k.traits.Start
	case k.traits.State:
		c.Start = "latest"
	}
	if k.traits.Leaves {
		c.MaxTLP = stix.Green.String()
	}
	if k.traits.Batch.Events > 0 {
		c.Batch = k.traits.Batch.Events
	}
	if k.traits.Concurrency > 0 {
		c.Concurrency = k.traits.Concurrency
	}
	return c
}
