// Package stix is the producer that reads STIX from a file or URL: a bundle, a TAXII envelope, an array, JSON lines or one object,
// plain or compressed. It reads what is there twice: the first look learns markings and finds ids that occur more than once, the
// second publishes. Memory is bounded by the largest object and eight bytes for each.
package stix

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/httpx"
)

// Plugin is the kind stix.
var Plugin = bridge.Define("stix", "STIX 2 from a file or URL: bundle, TAXII envelope, array or JSON lines; plain, .gz or .zst", Config{},
	func(c Config) (bridge.Producer, error) { return newProducer(c) }).For(`kind: stix
name: attack
url: ./ics-attack.json.gz
every: 24h
tlp: clear
`)

// Config of a stix producer.
type Config struct {
	URL      string                   `json:"url,omitempty" jsonschema:"description=What to read: an http or https URL\\, a path\\, or - for standard input."`
	Path     string                   `json:"path,omitempty" jsonschema:"description=The same\\, for a path; give one of the two."`
	Format   string                   `json:"format,omitempty" jsonschema:"enum=auto,enum=bundle,enum=envelope,enum=array,enum=lines,enum=object,description=What the source must be; auto takes any of them. Default auto."`
	Snapshot bool                     `json:"snapshot,omitempty" jsonschema:"description=The source is the whole truth: what is no longer in it is deleted (see max_delete). Default: nothing is deleted."`
	Headers  map[string]bridge.Secret `json:"headers,omitempty" jsonschema:"description=Request headers\\, e.g. Authorization. They never go to another host."`
	TLS      bridge.TLS               `json:"tls,omitempty" jsonschema:"description=Authorities and client certificate for this URL."`
}

type producer struct {
	Config
	where    string // path or URL
	remote   bool
	identity string       // of where, in the cursor, which status shows
	name     string       // of where, without secrets
	client   *http.Client // nil: the run's
	last     atomic.Pointer[map[string]any]
}

func newProducer(c Config) (bridge.Producer, error) {
	if (c.URL == "") == (c.Path == "") {
		return nil, bridge.KeyError("url", errors.New("name what to read, a URL or a path, in url or in path and not in both"))
	}
	p := &producer{Config: c, where: cmp.Or(c.URL, c.Path)}
	lower := strings.ToLower(p.where)
	switch {
	case strings.HasPrefix(lower, "http://"), strings.HasPrefix(lower, "https://"):
		p.remote = true
	case strings.HasPrefix(lower, "file://"):
		p.where = p.where[len("file://"):]
	case strings.Contains(p.where, "://"):
		return nil, bridge.KeyError("url", fmt.Errorf("%s is neither http, https nor a path", httpx.Redact(p.where)))
	}
	if p.remote && c.Path != "" {
		return nil, bridge.KeyError("path", errors.New("is a URL; write it under url"))
	}
	if !p.remote && len(c.Headers) > 0 {
		return nil, bridge.KeyError("headers", errors.New("only a URL is asked with headers, and this is a path"))
	}
	switch c.Format {
	case "", "auto", "bundle", "envelope", "array", "lines", "object":
	default:
		return nil, bridge.KeyError("format", fmt.Errorf("%q is none of auto, bundle, envelope, array, lines, object", c.Format))
	}
	if c.TLS != (bridge.TLS{}) {
		conf, err := httpx.LoadTLS(c.TLS.CA, c.TLS.Cert, c.TLS.Key, c.TLS.Insecure)
		if err != nil {
			return nil, bridge.KeyError("tls", err)
		}
		p.client = httpx.New(httpx.Options{Trusted: []string{p.where}, TLS: conf})
	}
	sum := sha256.Sum256([]byte(p.where))
	p.identity, p.name = hex.EncodeToString(sum[:8]), p.where
	if p.remote {
		p.name = httpx.Redact(p.where)
	}
	return p, nil
}

// cursor is where the reading of one version of the source stands.
type cursor struct {
	Source string `json:"source"` // what is configured; another source begins anew
	httpx.Validators
	Digest   string `json:"digest,omitempty"` // SHA-256 of the version's bytes
	Size     int64  `json:"size,omitempty"`
	Index    int    `json:"index"`              // elements dealt with
	Done     bool   `json:"done,omitempty"`     // all of them
	Pruned   bool   `json:"pruned,omitempty"`   // and what is not among them was deleted
	Imported bool   `json:"imported,omitempty"` // some version was read to its end: what comes now is news
}

// finished reports whether nothing of the version is left to do.
func (c cursor) finished(snapshot bool) bool { return c.Done && (c.Pruned || !snapshot) }

// Produce reads the source once. It returns at once when the source is the version that was read to its end before.
func (p *producer) Produce(ctx context.Context, run *bridge.Run) error {
	var cur cursor
	if err := run.Cursor(ctx, &cur); err != nil {
		return err
	}
	if cur.Source != p.identity {
		cur = cursor{Source: p.identity}
	}
	doc, err := p.open(ctx, run, cur)
	if err != nil || doc == nil {
		return err
	}
	defer doc.close()
	if doc.digest != "" && doc.digest == cur.Digest && cur.finished(p.Snapshot) {
		return p.unchanged(ctx, run, cur, doc)
	}
	s, err := look(ctx, doc, run)
	if err != nil {
		return err
	}
	if s.digest != cur.Digest {
		cur = cursor{Source: cur.Source, Imported: cur.Imported, Digest: s.digest, Size: doc.size}
	}
	cur.Validators = doc.validators
	if cur.finished(p.Snapshot) {
		return p.unchanged(ctx, run, cur, doc)
	}
	defer p.report(s)
	if err := p.expect(s); err != nil {
		return err
	}
	if err := p.publish(ctx, run, doc, s, &cur); err != nil {
		return err
	}
	if err := doc.steady(); err != nil {
		return err
	}
	cur.Pruned = false
	if p.Snapshot {
		if why := s.incomplete(); why != "" {
			run.Log.Warn("nothing is deleted, because the snapshot was not complete", "source", p.name, "reason", why)
		} else if _, err := run.Prune(ctx, s.holds); err != nil {
			return err
		}
		cur.Pruned = true // also when it could not be: only another version can change that
	}
	cur.Done, cur.Imported = true, true
	if err := run.Commit(ctx, cur); err != nil {
		return err
	}
	doc.discard = true
	return nil
}

// unchanged keeps the new validators, so that the next question is a cheap one.
func (p *producer) unchanged(ctx context.Context, run *bridge.Run, cur cursor, doc *document) error {
	doc.discard = true
	run.Log.Debug("unchanged", "source", p.name)
	if doc.validators == cur.Validators {
		return nil
	}
	cur.Validators = doc.validators
	return run.Commit(ctx, cur)
}

// expect refuses a source of another form than the configured one.
func (p *producer) expect(s *survey) error {
	if p.Format == "" || p.Format == "auto" || s.format == "" || s.format == p.Format || p.Format == "lines" && s.format == "object" {
		return nil
	}
	return fmt.Errorf("%s is of the form %s, not %s: correct format, or leave it out", p.name, s.format, p.Format)
}

// Probe asks whether the source is there, without reading it.
func (p *producer) Probe(ctx context.Context) error {
	if !p.remote {
		if p.where == "-" {
			return nil
		}
		f, err := os.Open(p.where)
		if err != nil {
			return err
		}
		return f.Close()
	}
	client := p.client
	if client == nil {
		client = httpx.New(httpx.Options{Trusted: []string{p.where}, Retry: -1})
		defer client.CloseIdleConnections()
	}
	r, err := httpx.Fetch(ctx, client, p.where, httpx.Validators{}, p.headers())
	if err != nil {
		return judge(err)
	}
	return r.Body.Close()
}

// Close ends idle connections.
func (p *producer) Close() error {
	if p.client != nil {
		p.client.CloseIdleConnections()
	}
	return nil
}

// Report shows the last read in status.
func (p *producer) Report() map[string]any {
	if m := p.last.Load(); m != nil {
		return *m
	}
	return nil
}

func (p *producer) report(s *survey) {
	p.last.Store(&map[string]any{"format": s.format, "elements": s.elements, "repeated": s.repeated, "malformed": s.malformed})
}

func (p *producer) headers() http.Header {
	h := http.Header{"Accept": {"application/stix+json, application/taxii+json;q=0.9, application/json;q=0.8, */*;q=0.5"}}
	for k, v := range p.Headers {
		h.Set(k, v.Reveal())
	}
	return h
}

// judge gives an HTTP error the kind that says what the runtime is to do.
func judge(err error) error {
	switch v, wait := httpx.Classify(err); v {
	case httpx.Denied:
		return bridge.Paused(err)
	case httpx.Later:
		return bridge.RetryAfter(err, wait)
	}
	return err
}
