package bridge

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// Secret is configuration text that never appears in logs, status, dead letters or JSON.
type Secret string

const redacted = "********"

// Reveal returns the text itself; call it where the secret goes on the wire and nowhere else.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString keeps %#v from showing the text.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalJSON redacts.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// LogValue redacts.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// JSONSchema describes the type in the configuration schema.
func (Secret) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Format: "secret"}
}

// Duration is a time span written as 30s, 5m, 24h, 7d, or an ISO 8601 duration (PT10M, P1D).
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes the text form.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads the text form; a bare number is refused because its unit would be a guess.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("duration: want text such as 30s, 5m, 24h or 7d, got %s", b)
	}
	v, err := ParseDuration(s)
	*d = Duration(v)
	return err
}

// JSONSchema describes the type in the configuration schema.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Format: "duration", Examples: []any{"30s", "5m", "24h", "7d"}}
}

// ParseDuration reads 1h30m, 7d, 2w, PT10M and P1DT2H. Negative spans are errors.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("duration %q: want a form such as 30s, 5m, 24h, 7d or PT10M", s)
	t := strings.TrimSpace(s)
	if t == "0" {
		return 0, nil
	}
	iso := strings.HasPrefix(t, "P")
	if iso {
		t = strings.ToLower(strings.TrimPrefix(t, "P"))
		date, clock, _ := strings.Cut(t, "t")
		if strings.ContainsAny(date, "my") { // months and years have no fixed length
			return 0, bad
		}
		t = date + clock
	}
	var sum time.Duration
	for t != "" {
		i := strings.IndexFunc(t, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 {
			return 0, bad
		}
		n, err := strconv.ParseFloat(t[:i], 64)
		if err != nil {
			return 0, bad
		}
		t = t[i:]
		j := strings.IndexFunc(t, func(r rune) bool { return r >= '0' && r <= '9' })
		if j < 0 {
			j = len(t)
		}
		unit, ok := units[t[:j]]
		if !ok {
			return 0, bad
		}
		sum += time.Duration(n * float64(unit))
		t = t[j:]
	}
	if sum < 0 || (sum == 0 && iso) {
		return 0, bad
	}
	return sum, nil
}

var units = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond,
	"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// Size is a number of bytes written as 512KiB, 64MiB, 10GB or a bare number.
type Size int64

func (s Size) String() string {
	for _, u := range []struct {
		name string
		n    int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if int64(s) >= u.n && int64(s)%u.n == 0 {
			return strconv.FormatInt(int64(s)/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalJSON writes the text form.
func (s Size) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON reads the text form or a number of bytes.
func (s *Size) UnmarshalJSON(b []byte) error {
	v, err := ParseSize(strings.Trim(string(b), `"`))
	*s = Size(v)
	return err
}

// JSONSchema describes the type in the configuration schema.
func (Size) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string", Format: "size"}, {Type: "integer"}}, Examples: []any{"64MiB", "10GiB"}}
}

// ParseSize reads 512KiB, 64MiB, 10GB and bare numbers of bytes.
func ParseSize(s string) (int64, error) {
	t := strings.TrimSpace(s)
	i := strings.IndexFunc(t, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		i = len(t)
	}
	n, err := strconv.ParseFloat(t[:i], 64)
	unit, ok := map[string]float64{"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}[strings.ToLower(strings.TrimSpace(t[i:]))]
	if err != nil || !ok || n < 0 {
		return 0, fmt.Errorf("size %q: want a form such as 512KiB, 64MiB or 10GB", s)
	}
	return int64(n * unit), nil
}
