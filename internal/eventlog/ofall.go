package eventlog

import (
	"context"
	"errors"
)

// errTooMany says that a read matched more entries than the server gives at once.
var errTooMany = errors.New("too many entries for one read")

// maxOfAll is how many objects one read asks for; the server gives at most 1024 entries, several producers may assert an id.
const maxOfAll = 200

// Key names an object in STIX_LATEST.
type Key struct{ Type, ID string }

// OfAll returns what each producer last asserted about each of the objects, by id. It blocks for one round trip per 200 keys.
func (l *Latest) OfAll(ctx context.Context, keys []Key) (map[string][]Entry, error) {
	found := make(map[string][]Entry, len(keys))
	for len(keys) > 0 {
		n := min(maxOfAll, len(keys))
		if err := l.ofAll(ctx, keys[:n], found); err != nil {
			return nil, err
		}
		keys = keys[n:]
	}
	return found, nil
}

func (l *Latest) ofAll(ctx context.Context, keys []Key, found map[string][]Entry) error {
	patterns := make([]string, 0, len(keys))
	for _, k := range keys {
		if SafeType(k.Type) {
			patterns = append(patterns, LatestOf(k.Type, k.ID))
		}
	}
	if len(patterns) == 0 {
		return nil
	}
	got, err := l.Lookup(ctx, patterns)
	if errors.Is(err, errTooMany) && len(keys) > 1 {
		return errors.Join(l.ofAll(ctx, keys[:len(keys)/2], found), l.ofAll(ctx, keys[len(keys)/2:], found))
	}
	for _, e := range got {
		found[e.ID] = append(found[e.ID], e)
	}
	return err
}
