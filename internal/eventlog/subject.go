// Package eventlog is the event contract and its storage on JetStream: subjects and headers, the streams, atomic commits,
// the latest objects, state, large payloads and dead letters. It knows nothing of plugins, gates or schedules.
package eventlog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// Prefix of every event subject: contract version 1.
const Prefix = "stix.v1."

// Subject is the address of an event: stix.v1.<producer>.<tlp>.<op>.<type>.<partition>.
type Subject struct {
	Producer  string
	TLP       stix.TLP
	Op        bridge.Op
	Type      string
	Partition int
}

func (s Subject) String() string {
	b := make([]byte, 0, len(Prefix)+len(s.Producer)+len(s.Type)+32)
	b = append(b, Prefix...)
	b = append(b, s.Producer...)
	b = append(b, '.')
	b = append(b, s.TLP.String()...)
	b = append(b, '.')
	b = append(b, s.Op...)
	b = append(b, '.')
	b = append(b, s.Type...)
	b = append(b, '.')
	return string(strconv.AppendInt(b, int64(s.Partition), 10))
}

var errSubject = errors.New("not a subject of stix.v1")

// ParseSubject reads a subject; further tokens are ignored, an unknown TLP is an error (only stix.v2 may add levels).
func ParseSubject(subject string) (s Subject, err error) {
	rest, ok := strings.CutPrefix(subject, Prefix)
	if !ok {
		return s, fmt.Errorf("%w: %q", errSubject, subject)
	}
	var tok [5]string
	for i := range tok {
		tok[i], rest, ok = strings.Cut(rest, ".")
		if !ok && i < 4 {
			return s, fmt.Errorf("%w: %q", errSubject, subject)
		}
	}
	if s.TLP, err = stix.ParseTLP(tok[1]); err != nil {
		return s, fmt.Errorf("%w: %q: %w", errSubject, subject, err)
	}
	if s.Partition, err = strconv.Atoi(tok[4]); err != nil {
		return s, fmt.Errorf("%w: %q", errSubject, subject)
	}
	s.Producer, s.Op, s.Type = tok[0], bridge.Op(tok[2]), tok[3]
	return s, nil
}

// Partition is the key for order: 32-bit FNV-1a of the id's bytes, modulo the number of partitions.
func Partition(id string, partitions int) int {
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return int(h % uint32(partitions))
}

// SafeType reports whether a STIX type may be a subject token.
func SafeType(t string) bool {
	if len(t) == 0 || len(t) > 250 {
		return false
	}
	for i := range len(t) {
		if c := t[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// token makes an id a subject token: as it is, or the hex of its SHA-256 where it is not safe.
func token(id string) string {
	if len(id) <= 300 && id != "" {
		safe := true
		for i := range len(id) {
			c := id[i]
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
				safe = false
				break
			}
		}
		if safe {
			return id
		}
	}
	h := sha256.Sum256([]byte(id))
	return hex.EncodeToString(h[:])
}

// LatestSubject addresses what a producer last asserted about an object.
func LatestSubject(typ, id, producer string) string {
	return "latest.v1." + typ + "." + token(id) + "." + producer
}

// LatestOf matches what every producer last asserted about an object.
func LatestOf(typ, id string) string { return "latest.v1." + typ + "." + token(id) + ".*" }

// LatestFilter matches what a producer asserts of a type; "*" for any.
func LatestFilter(typ, producer string) string { return "latest.v1." + typ + ".*." + producer }
