package sse

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HTTPError says that the server did not answer with a stream.
type HTTPError struct {
	Status     int           // HTTP status code; 200 when only the content type was wrong
	Reason     string        // reason phrase, and the beginning of the body
	RetryAfter time.Duration // 0 when the server named no time
}

func (e *HTTPError) Error() string {
	return fmt.Sprintf("stream refused with status %d: %s", e.Status, e.Reason)
}

// validate accepts 200 with text/event-stream. Anything else is read a little, for its reason.
func validate(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == http.StatusOK && kind == "text/event-stream" {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	_, reason, _ := strings.Cut(resp.Status, " ") // the platform says why in the reason phrase and sends no body
	if resp.StatusCode == http.StatusOK {
		reason = fmt.Sprintf("content type %q is no event stream", resp.Header.Get("Content-Type"))
	}
	if text := strings.Join(strings.Fields(string(body)), " "); text != "" {
		reason += ": " + text[:min(len(text), 300)]
	}
	return &HTTPError{Status: resp.StatusCode, Reason: reason, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
}

// retryAfter reads both forms of Retry-After: seconds, and a date.
func retryAfter(v string, now time.Time) time.Duration {
	if s, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
