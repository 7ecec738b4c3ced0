package config

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// The plugins of these tests: their sections have every form of value that real ones have.

type feedConfig struct {
	URL     string                   `json:"url" jsonschema:"minLength=1,description=File or address of the feed. Compressed files are read as they are."`
	Format  string                   `json:"format,omitempty" jsonschema:"enum=auto,enum=stix,enum=csv,description=Form of the feed."`
	Columns []feedColumn             `json:"columns,omitempty" jsonschema:"description=Columns to read."`
	Headers map[string]bridge.Secret `json:"headers,omitempty" jsonschema:"description=Headers of the request."`
	Token   bridge.Secret            `json:"token,omitempty" jsonschema:"description=Token of the feed."`
	Weight  float64                  `json:"weight,omitempty" jsonschema:"minimum=0,maximum=1"`
	Pages   int                      `json:"pages,omitempty" jsonschema:"minimum=1"`
	Limit   bridge.Size              `json:"limit,omitempty" jsonschema:"description=Largest download."`
	TLS     bridge.TLS               `json:"tls,omitempty"`
}

type feedColumn struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"`
}

type feed struct{ feedConfig }

func (feed) Produce(context.Context, *bridge.Run) error { return nil }

type liveConfig struct {
	URL    string        `json:"url" jsonschema:"format=uri,description=Base URL of the platform."`
	Token  bridge.Secret `json:"token" jsonschema:"description=API token."`
	Stream string        `json:"stream" jsonschema:"minLength=1,description=Id of the live stream."`
	Name   string        `json:"name,omitempty"`
}

type live struct{ liveConfig }

func (live) Produce(context.Context, *bridge.Run) error { return nil }

type fileConfig struct {
	Path string `json:"path" jsonschema:"minLength=1,description=File to append to."`
}

type hookConfig struct {
	URL    string        `json:"url" jsonschema:"format=uri,description=Where to post."`
	Secret bridge.Secret `json:"secret,omitempty" jsonschema:"description=Key of the signature."`
	Batch  int           `json:"batch,omitempty" jsonschema:"description=Most events in one request. Above 1 the body is an array."`
}

type hook struct{ hookConfig }

func (hook) Deliver(context.Context, []bridge.Event) error { return nil }

type tagConfig struct {
	Lists []string `json:"lists,omitempty"`
}

type tagger struct{}

func (tagger) Enrich(context.Context, bridge.Event) ([]stix.Object, error) { return nil, nil }

func plugins() Plugins {
	drop := bridge.Each(func(context.Context, bridge.Event) error { return nil })
	return Plugins{
		Producers: []bridge.Plugin[bridge.Producer]{
			bridge.Define("feed", "A file or address with objects.", feedConfig{Format: "auto", Limit: 64 << 20}, func(c feedConfig) (bridge.Producer, error) {
				var errs []error
				if strings.HasPrefix(c.URL, "ftp:") {
					errs = append(errs, bridge.KeyError("url", errors.New("ftp is not supported; use https")))
				}
				for i, col := range c.Columns {
					if col.Type == "blob" {
						errs = append(errs, bridge.KeyError(fmt.Sprintf("columns[%d].type", i), errors.New("no column holds a blob; write text")))
					}
				}
				if c.Pages > 1 && c.Format == "stix" {
					errs = append(errs, errors.New("a bundle has no pages; remove pages or format"))
				}
				return feed{c}, errors.Join(errs...)
			}).For("- { kind: feed, name: attack, url: ./ics-attack.json, every: 24h, tlp: clear }"),
			bridge.Define("opencti-live", "A live stream.", liveConfig{}, func(c liveConfig) (bridge.Producer, error) { return live{c}, nil }).With(bridge.Traits{Live: true}),
		},
		Sinks: []bridge.Plugin[bridge.Sink]{
			bridge.Define("file", "JSON lines in a file.", fileConfig{}, func(fileConfig) (bridge.Sink, error) { return drop, nil }).With(bridge.Traits{Ordered: true, Start: "all"}),
			bridge.Define("webhook", "POST to an address.", hookConfig{}, func(c hookConfig) (bridge.Sink, error) { return hook{c}, nil }).
				With(bridge.Traits{Leaves: true, Batch: bridge.Limits{Events: 1}}),
			bridge.Define("opencti", "An OpenCTI platform.", liveConfig{Stream: "none"}, func(liveConfig) (bridge.Sink, error) { return drop, nil }).With(bridge.Traits{State: true}),
		},
		Enrichers: []bridge.Plugin[bridge.Enricher]{
			bridge.Define("tag", "Labels on hit.", tagConfig{}, func(tagConfig) (bridge.Enricher, error) { return tagger{}, nil }),
		},
		CompileWhere: func(src string) error {
			if i := strings.Index(src, "%%"); i >= 0 {
				return columnError(i + 1)
			}
			return nil
		},
	}
}

type columnError int

func (columnError) Error() string { return "unexpected %%; write a number" }
func (c columnError) Column() int { return int(c) }
