package httpx

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// retrier repeats requests that have no effect, while the whole stays within the budget. When it runs out, the caller gets the last
// answer or error as it is.
type retrier struct {
	next   http.RoundTripper
	budget time.Duration
}

func (r *retrier) CloseIdleConnections() { closeIdle(r.next) }

func (r *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, "":
	default:
		return r.next.RoundTrip(req)
	}
	if req.Body != nil && req.Body != http.NoBody {
		return r.next.RoundTrip(req)
	}
	pause := backoff.NewExponentialBackOff()
	pause.MaxInterval = 8 * time.Second
	deadline := time.Now().Add(r.budget)
	for {
		resp, err := r.next.RoundTrip(req)
		wait := pause.NextBackOff()
		switch {
		case err != nil:
			if !passing(req.Context(), err) {
				return nil, err
			}
		case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 502 && resp.StatusCode <= 504:
			if asked := retryAfter(resp.Header, time.Now()); asked > 0 {
				wait = asked
			}
		default:
			return resp, nil
		}
		if time.Now().Add(wait).After(deadline) {
			return resp, err
		}
		if resp != nil {
			Drain(resp.Body)
		}
		t := time.NewTimer(wait)
		select {
		case <-req.Context().Done():
			t.Stop()
			return nil, context.Cause(req.Context())
		case <-t.C:
		}
	}
}

// passing reports whether an error may be gone in a moment. Silence is not retried here: one wait was long enough.
func passing(ctx context.Context, err error) bool {
	return ctx.Err() == nil && !errors.As(err, new(*RefusedError)) && !errors.As(err, new(*TooLargeError)) && !errors.Is(err, ErrIdle) && !isCertificate(err)
}

// Drain reads a little of what is left, so that the connection can serve again, and closes.
func Drain(b io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, b, 64<<10)
	_ = b.Close()
}
