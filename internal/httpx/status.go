package httpx

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// StatusError is an answer other than the one that was wanted.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // 0 when the peer asked for none
	Body       string        // the beginning of the answer, on one line, when it was text
}

func (e *StatusError) Error() string {
	text := http.StatusText(e.Status)
	if text == "" {
		text = "unknown status"
	}
	s := fmt.Sprintf("%d %s", e.Status, text)
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(" (retry after %s)", e.RetryAfter)
	}
	if e.Body != "" {
		s += ": " + e.Body
	}
	return s
}

// Check returns nil for a 2xx answer and a *StatusError for any other. It reads the beginning of the body and
// closes it in the second case.
func Check(resp *http.Response) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	head, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	Drain(resp.Body)
	return &StatusError{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, time.Now()), Body: scrub(snippet(head), resp.Request)}
}

// snippet makes one printable line of text, and nothing of what is no text.
func snippet(b []byte) string {
	if bytes.IndexByte(b, 0) >= 0 {
		return ""
	}
	s := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b), ""))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 240 {
		s = strings.ToValidUTF8(s[:240], "") + "…"
	}
	return s
}

// plain headers hold no secret.
var plain = map[string]bool{
	"Content-Type": true, "Content-Length": true, "Idempotency-Key": true, "Origin": true, "Referer": true, "Stixbridge-Seq": true,
}

// scrub takes out of an answer what the request held in secret: some peers repeat it in their errors.
func scrub(s string, req *http.Request) string {
	hide := func(v string) {
		if len(v) >= 4 { // shorter ones are no secret, and would maim the text
			s = strings.ReplaceAll(s, v, "…")
		}
	}
	for req != nil && s != "" {
		for k, vs := range req.Header {
			if kept[k] || plain[k] {
				continue
			}
			for _, v := range vs {
				hide(v)
				if _, token, ok := strings.Cut(v, " "); ok { // behind Bearer, Basic, …
					hide(token)
				}
			}
		}
		if u := req.URL; u != nil {
			for _, vs := range u.Query() {
				for _, v := range vs {
					hide(v)
				}
			}
			password, _ := u.User.Password()
			hide(password)
			if u.RawQuery != "" {
				hide(u.RawQuery)
			}
		}
		if req.Response == nil {
			break
		}
		req = req.Response.Request // that which led to a redirect
	}
	return s
}

// retryAfter reads both forms of the header: seconds and a date. It never waits more than a day.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	var d time.Duration
	if s, err := strconv.ParseInt(v, 10, 64); err == nil {
		d = time.Duration(min(max(s, 0), 86_400)) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date // both by the peer's clock
		}
		d = at.Sub(now)
	}
	return min(max(d, 0), 24*time.Hour)
}

// Verdict says what a failed request asks of the caller.
type Verdict int

// Verdicts.
const (
	Retry   Verdict = iota // try again, as long as it takes: network, 5xx, and 404 and 405, which a mistyped address gives
	Invalid                // this content is refused for good: 400, 413, 422
	Denied                 // we are: 401, 403
	Later                  // try again, not before the wait is over: 429 and 503 with Retry-After
)

// Classify judges an error of this package or of net/http. The wait goes with Later.
func Classify(err error) (Verdict, time.Duration) {
	var s *StatusError
	if !errors.As(err, &s) {
		return Retry, 0
	}
	return ClassifyStatus(s.Status, s.RetryAfter)
}

// ClassifyStatus judges a status that is not 2xx.
func ClassifyStatus(status int, wait time.Duration) (Verdict, time.Duration) {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return Invalid, 0
	case http.StatusUnauthorized, http.StatusForbidden:
		return Denied, 0
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if wait > 0 {
			return Later, wait
		}
	}
	return Retry, 0
}

// Reason puts an error into the closed set of metric labels: auth, rate_limited, invalid, timeout, unavailable, too_large, canceled.
func Reason(err error) string {
	var (
		s       *StatusError
		refused *RefusedError
		large   *TooLargeError
		network net.Error
	)
	switch {
	case errors.As(err, &s):
		switch {
		case s.Status == http.StatusUnauthorized, s.Status == http.StatusForbidden:
			return "auth"
		case s.Status == http.StatusTooManyRequests:
			return "rate_limited"
		case s.Status == http.StatusRequestEntityTooLarge:
			return "too_large"
		case s.Status == http.StatusRequestTimeout, s.Status == http.StatusGatewayTimeout:
			return "timeout"
		case s.Status >= 400 && s.Status < 500:
			return "invalid"
		}
		return "unavailable"
	case errors.As(err, &refused):
		return "invalid"
	case errors.As(err, &large):
		return "too_large"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, ErrIdle), errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	}
	return "unavailable"
}

// isCertificate reports whether the peer's certificate does not do; a second look would be the same.
func isCertificate(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) || errors.As(err, new(x509.CertificateInvalidError))
}
