package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Validators identify the version of a document that a peer sent.
type Validators struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
}

// IsZero reports whether the peer gave none.
func (v Validators) IsZero() bool { return v == Validators{} }

// Response of Fetch.
type Response struct {
	Body        io.ReadCloser // nil when NotModified; the caller closes it
	NotModified bool
	Validators  Validators
	ContentType string
	Length      int64  // -1 when unknown
	URL         string // where it came from in the end, redacted
}

// Fetch gets a document unless it is still the version that v names. A truncated document shows while the body is read, as
// io.ErrUnexpectedEOF. An answer other than 200 and 304 is a *StatusError. Errors name the URL without its secrets.
func Fetch(ctx context.Context, client *http.Client, address string, v Validators, headers ...http.Header) (*Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Redact(address), bare(err))
	}
	for _, h := range headers {
		for k, vs := range h {
			req.Header[http.CanonicalHeaderKey(k)] = vs
		}
	}
	if v.ETag != "" {
		req.Header.Set("If-None-Match", v.ETag)
	}
	if v.LastModified != "" {
		req.Header.Set("If-Modified-Since", v.LastModified)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Redact(address), bare(err))
	}
	if resp.StatusCode == http.StatusNotModified && !v.IsZero() {
		Drain(resp.Body)
		return &Response{NotModified: true, Validators: v, URL: Redact(resp.Request.URL.String())}, nil
	}
	if resp.StatusCode != http.StatusOK {
		if err := Check(resp); err != nil {
			return nil, fmt.Errorf("%s: %w", Redact(address), err)
		}
		Drain(resp.Body) // 204, 206: success, but not the document
		return nil, fmt.Errorf("%s: %w", Redact(address), &StatusError{Status: resp.StatusCode, Body: "no document"})
	}
	return &Response{
		Body:        resp.Body,
		Validators:  Validators{ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified")},
		ContentType: resp.Header.Get("Content-Type"),
		Length:      resp.ContentLength,
		URL:         Redact(resp.Request.URL.String()),
	}, nil
}

// Do sends a request and takes the URL, which may hold a secret, out of the error.
func Do(client *http.Client, req *http.Request) (*http.Response, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Redact(req.URL.String()), bare(err))
	}
	return resp, nil
}

func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Redact returns the address without what may be secret in it: user, password, and the values of the query.
func Redact(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(unreadable address)"
	}
	query := u.RawQuery != ""
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	if query {
		return u.String() + "?…"
	}
	return u.String()
}
