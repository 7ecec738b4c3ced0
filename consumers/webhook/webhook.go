// Package webhook is the sink that posts events to a URL: one object, or an array when its batch is over 1, signed and with an
// idempotency key.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/httpx"
)

// Plugin is the kind webhook.
var Plugin = bridge.Define("webhook", "HTTP POST of each event, or of a batch", Config{}, newSink).
	With(bridge.Traits{Leaves: true, Start: "new", Batch: bridge.Limits{Events: 1, Bytes: 4 << 20}}).For(`kind: webhook
name: soc
url: https://soc.example.org/hooks/stix
secret: ${WEBHOOK_SECRET}
producers: ["*"]
types: [indicator]
max_tlp: green
`)

// Config of a webhook sink.
type Config struct {
	URL     string                   `json:"url" jsonschema:"format=uri,description=Where to post. Redirects are not followed: name the final address."`
	Secret  bridge.Secret            `json:"secret,omitempty" jsonschema:"description=Key of the header Stixbridge-Signature\\, the HMAC-SHA256 of the raw body."`
	Headers map[string]bridge.Secret `json:"headers,omitempty" jsonschema:"description=Request headers\\, e.g. Authorization."`
	Expand  Expand                   `json:"expand,omitempty"`
	Batch   int                      `json:"batch,omitempty" jsonschema:"minimum=1,maximum=10000,description=Most events in one request. Over 1 the body is always an array. Default 1."`
	TLS     bridge.TLS               `json:"tls,omitempty"`
}

type sink struct {
	Config
	client *http.Client
}

func newSink(c Config) (bridge.Sink, error) {
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		return nil, bridge.KeyError("url", errors.New("name where to post"))
	case err != nil:
		return nil, bridge.KeyError("url", errors.New("cannot be read as a URL"))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, bridge.KeyError("url", fmt.Errorf("%s is no http or https URL", httpx.Redact(c.URL)))
	}
	conf, err := httpx.LoadTLS(c.TLS.CA, c.TLS.Cert, c.TLS.Key, c.TLS.Insecure)
	if err != nil {
		return nil, bridge.KeyError("tls", err)
	}
	// The runtime retries, in place and in order, and knows the delivery's time limit: none of that here.
	client := httpx.New(httpx.Options{Trusted: []string{c.URL}, TLS: conf, Retry: -1, Idle: -1})
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &sink{c, client}, nil
}

// Deliver posts the batch in one request.
func (s *sink) Deliver(ctx context.Context, batch []bridge.Event) error {
	body, err := s.body(ctx, batch)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for k, v := range s.Headers {
		req.Header.Set(k, v.Reveal())
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Stixbridge-Seq", strconv.FormatUint(batch[len(batch)-1].Seq, 10)) // of a batch in log order: the highest
	req.Header.Set("Idempotency-Key", key(batch))
	if s.Secret != "" {
		req.Header.Set("Stixbridge-Signature", "sha256="+sign(s.Secret, body))
	}
	return s.send(req)
}

func (s *sink) send(req *http.Request) error {
	resp, err := httpx.Do(s.client, req)
	if err != nil {
		return err
	}
	err = httpx.Check(resp)
	if err == nil {
		httpx.Drain(resp.Body)
		return nil
	}
	err = fmt.Errorf("%s: %w", httpx.Redact(s.URL), err)
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 {
		err = fmt.Errorf("%w (to %s; name that address if it is right)", err, httpx.Redact(to))
	}
	switch v, wait := httpx.Classify(err); v {
	case httpx.Invalid:
		return bridge.Permanent(err)
	case httpx.Denied:
		return bridge.Paused(err)
	case httpx.Later:
		return bridge.RetryAfter(err, wait)
	}
	return err
}

// body is what is posted: the line of tap and file, with refs when expanded.
func (s *sink) body(ctx context.Context, batch []bridge.Event) ([]byte, error) {
	list := s.Batch > 1 || len(batch) > 1
	var b []byte
	if list {
		b = append(b, '[')
	}
	for i, e := range batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.Line(b)
		refs, err := s.Expand.refs(ctx, e)
		if err != nil {
			return nil, err
		}
		if refs != nil {
			b = append(b[:len(b)-1], `,"refs":`...)
			b = append(append(b, refs...), '}')
		}
	}
	if list {
		b = append(b, ']')
	}
	return b, nil
}

// key names the request's content: the same events have the same key however often they are sent.
func key(batch []bridge.Event) string {
	if len(batch) == 1 {
		return batch[0].ID
	}
	ids := make([]string, len(batch))
	for i, e := range batch {
		ids[i] = e.ID
	}
	sum := sha256.Sum256([]byte(strings.Join(ids, "\n")))
	return hex.EncodeToString(sum[:])
}

func sign(secret bridge.Secret, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret.Reveal()))
	m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}

// Probe asks the target for its options, which changes nothing there. Any answer but a refusal of us or a failure of its own will do: many
// targets know only POST.
func (s *sink) Probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, s.URL, nil)
	if err != nil {
		return err
	}
	for k, v := range s.Headers {
		req.Header.Set(k, v.Reveal())
	}
	err = s.send(req)
	var status *httpx.StatusError
	if errors.As(err, &status) && status.Status < 500 && status.Status != http.StatusTooManyRequests && !bridge.IsPaused(err) {
		return nil
	}
	return err
}

// Close ends idle connections.
func (s *sink) Close() error {
	s.client.CloseIdleConnections()
	return nil
}
