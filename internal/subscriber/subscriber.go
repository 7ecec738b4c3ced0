// Package subscriber lets outside parties receive events of the log by plain NATS, each within a ceiling of its own.
//
// A subscriber has an account of its own in the broker. It shares nothing with the bridge's account but four services: description of,
// pull requests to and acknowledgements for one durable consumer on STIX, which the operator makes with exactly the subjects within the
// ceiling, and large payloads, which the bridge hands out itself.
package subscriber

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/stix"
)

// Subscriber is the record of an outside party: subscriber.<name> in the state bucket. It holds no secret.
type Subscriber struct {
	Name      string    `json:"name"`
	MaxTLP    stix.TLP  `json:"max_tlp"`
	Producers []string  `json:"producers,omitempty"` // none: all
	Types     []string  `json:"types,omitempty"`     // none: all
	Hash      string    `json:"hash,omitempty"`      // bcrypt of the password
	Limits    Limits    `json:"limits"`
	Created   time.Time `json:"created"`
	By        string    `json:"by,omitempty"`
	Rotated   time.Time `json:"rotated,omitzero"`
}

// Limits bound what a subscriber may ask of the server.
type Limits struct {
	AckPending    int   `json:"ack_pending"`   // events that it has and has not acknowledged
	Waiting       int   `json:"waiting"`       // open pull requests
	Connections   int64 `json:"connections"`   // of its account
	Payload       int64 `json:"payload"`       // bytes of a message that it sends; what it receives may be larger
	Subscriptions int64 `json:"subscriptions"` // of one connection
}

// DefaultLimits suit a handful of processes of one subscriber.
var DefaultLimits = Limits{AckPending: 256, Waiting: 16, Connections: 8, Payload: 4096, Subscriptions: 64}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Check reports what is wrong with a record that somebody wants to add.
func (s Subscriber) Check() error {
	if !nameForm.MatchString(s.Name) {
		return fmt.Errorf("name %q: small letters, digits and -, at most 63", s.Name)
	}
	if s.MaxTLP == stix.Unmarked {
		return errors.New("max-tlp: unmarked is no ceiling; it counts as amber, so write amber to let it pass")
	}
	for _, p := range s.Producers {
		if !nameForm.MatchString(p) {
			return fmt.Errorf("producer %q is no name of a producer", p)
		}
	}
	for _, t := range s.Types {
		if !eventlog.SafeType(t) {
			return fmt.Errorf("type %q is no STIX type", t)
		}
	}
	if l := s.Limits; l.AckPending < 1 || l.Waiting < 1 || l.Connections < 1 || l.Payload < 512 || l.Subscriptions < 2 {
		return errors.New("limits: at least 1 event, 1 request, 1 connection, 512 bytes and 2 subscriptions")
	}
	if n := len(s.Filters()); n > maxFilters {
		return fmt.Errorf("%d producers, types and levels make %d filters, at most %d are allowed; leave types out and let the subscriber choose", len(s.Producers)+len(s.Types), n, maxFilters)
	}
	return nil
}

// maxFilters bounds what the server compares for each event.
const maxFilters = 256

// Levels are the TLP tokens within a ceiling. Unmarked counts as amber.
func Levels(ceiling stix.TLP) (levels []stix.TLP) {
	for t := stix.Unmarked; t <= stix.Red; t++ {
		if t.Rank() <= ceiling.Rank() {
			levels = append(levels, t)
		}
	}
	return levels
}

// Filters are the subjects that the subscriber may receive, exactly.
func (s Subscriber) Filters() (subjects []string) {
	any := []string{"*"}
	producers, types := s.Producers, s.Types
	if len(producers) == 0 {
		producers = any
	}
	if len(types) == 0 {
		types = any
	}
	for _, p := range producers {
		for _, level := range Levels(s.MaxTLP) {
			for _, t := range types {
				subjects = append(subjects, eventlog.Prefix+p+"."+level.String()+".*."+t+".*")
			}
		}
	}
	slices.Sort(subjects)
	return slices.Compact(subjects)
}

// Sees reports whether an event of this subject is within the ceiling and the choice of the subscriber.
func (s Subscriber) Sees(subject string) bool {
	e, err := eventlog.ParseSubject(subject)
	return err == nil && strings.Count(subject, ".") == 6 && s.level(e.TLP) &&
		(len(s.Producers) == 0 || slices.Contains(s.Producers, e.Producer)) && (len(s.Types) == 0 || slices.Contains(s.Types, e.Type))
}

func (s Subscriber) level(t stix.TLP) bool { return slices.Contains(Levels(s.MaxTLP), t) }

// User is the name that the subscriber logs in with.
func (s Subscriber) User() string { return "subscriber." + s.Name }
