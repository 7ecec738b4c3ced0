package opencti

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Names that the platform gives to its errors.
const (
	AuthRequired    = "AUTH_REQUIRED"
	Forbidden       = "FORBIDDEN_ACCESS"
	BadInput        = "BAD_USER_INPUT"
	ValidationError = "GRAPHQL_VALIDATION_FAILED"
	Functional      = "FUNCTIONAL_ERROR"
	WorkNotAlive    = "WORK_NOT_ALIVE"
)

// Error is what a platform, or what stands before it, answered instead of data.
type Error struct {
	Name       string // AUTH_REQUIRED, FUNCTIONAL_ERROR, …; empty when the answer was no GraphQL
	Message    string
	Status     int           // HTTP status; usually 200, whatever went wrong
	Reason     string        // detail such as a doc_code, when there is one
	RetryAfter time.Duration // 0 when no time was named
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("platform answered ")
	if e.Name != "" {
		b.WriteString(e.Name)
	} else {
		fmt.Fprintf(&b, "status %d", e.Status)
	}
	if e.Message != "" && e.Message != e.Name {
		b.WriteString(": " + e.Message)
	}
	if e.Reason != "" {
		b.WriteString(" (" + e.Reason + ")")
	}
	return b.String()
}

// Refused reports that the platform does not accept the token or that the token lacks a right.
func (e *Error) Refused() bool {
	switch e.Name {
	case AuthRequired, "AUTH_FAILURE", "OTP_REQUIRED", "LTS_REQUIRED_ACTIVATION", Forbidden:
		return true
	case "":
		return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
	}
	return false
}

var unknown = regexp.MustCompile(`Field "(\w+)" is not defined by type|Unknown argument "(\w+)"|Cannot query field "(\w+)"`)

// UnknownField names the input field, argument or selected field that this version of the platform does not know.
func (e *Error) UnknownField() (string, bool) {
	m := unknown.FindStringSubmatch(e.Message)
	if m == nil {
		return "", false
	}
	return m[1] + m[2] + m[3], true
}

// Refused reports whether err says that the platform does not accept us: a matter for whoever configures, not for a retry.
func Refused(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Refused()
}

// Unregistered reports whether err says that the platform does not know the connector (any more): register again.
func Unregistered(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Name == Functional && strings.Contains(strings.ToLower(e.Message), "no connector found")
}

// Named reports whether err is an *Error of that name.
func Named(err error, name string) bool {
	var e *Error
	return errors.As(err, &e) && e.Name == name
}

// Wait is the time that the platform asked us to leave it alone, or 0.
func Wait(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

type wireError struct {
	Message    string    `json:"message"`
	Name       string    `json:"name"`
	Data       errorData `json:"data"`
	Extensions struct {
		Code string    `json:"code"`
		Data errorData `json:"data"`
	} `json:"extensions"`
}

// errorData tolerates any form of the details, of which only two short members are of use.
type errorData struct{ DocCode, Reason string }

func (d *errorData) UnmarshalJSON(b []byte) error {
	var v struct {
		DocCode any `json:"doc_code"`
		Reason  any `json:"reason"`
	}
	if json.Unmarshal(b, &v) == nil {
		d.DocCode, _ = v.DocCode.(string)
		d.Reason, _ = v.Reason.(string)
	}
	return nil
}

func (w wireError) error(resp *http.Response) *Error {
	e := &Error{Name: w.Name, Message: excerpt([]byte(w.Message)), Status: resp.StatusCode, RetryAfter: retryAfter(resp)}
	if e.Name == "" {
		e.Name = w.Extensions.Code
	}
	if e.Name == "" {
		e.Name = w.Message
	}
	for _, s := range []string{w.Data.DocCode, w.Data.Reason, w.Extensions.Data.DocCode, w.Extensions.Data.Reason} {
		if s != "" && e.Reason == "" && s != w.Message {
			e.Reason = excerpt([]byte(s))
		}
	}
	return e
}

func httpError(resp *http.Response, body []byte) *Error {
	msg := http.StatusText(resp.StatusCode)
	if strings.Contains(resp.Header.Get("Content-Type"), "html") {
		msg += ": an HTML page, so what answered is a proxy or another program; check the url"
	} else if len(body) > 0 {
		msg += ": " + excerpt(body)
	}
	return &Error{Status: resp.StatusCode, Message: msg, RetryAfter: retryAfter(resp)}
}

func retryAfter(resp *http.Response) time.Duration {
	v := resp.Header.Get("Retry-After")
	if s, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// excerpt makes one short line. Validation messages repeat the whole input before they name the field, so the end is kept, too.
func excerpt(b []byte) string {
	s := strings.Join(strings.Fields(string(b)), " ")
	if len(s) <= 600 {
		return s
	}
	return strings.ToValidUTF8(s[:200]+" … "+s[len(s)-380:], "�")
}
