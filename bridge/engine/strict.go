package engine

import (
	"encoding/json"

	"github.com/stixbridge/stixbridge/stix"
)

// validator is the check of strict producers.
func validator(strict bool) func(stix.Object) error {
	return nil
}

// reversePatch is the RFC 6902 patch from an object to the version before.
func reversePatch(now, before stix.Object) (json.RawMessage, error) {
	return nil, nil
}
