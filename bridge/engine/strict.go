package engine

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
	"github.com/stixbridge/stixbridge/stix/validate"
)

// validator is the check of strict producers: what the specification forbids is refused.
func validator(strict bool) func(stix.Object) error {
	if !strict {
		return nil
	}
	return func(o stix.Object) error {
		wrong := validate.Object(o)
		if len(wrong) == 0 {
			return nil
		}
		text := make([]string, 0, len(wrong))
		for _, w := range wrong {
			text = append(text, fmt.Sprintf("%s: %s (%s)", w.Pointer, w.Message, w.Section))
		}
		return fmt.Errorf("STIX forbids it: %s", strings.Join(text, "; "))
	}
}

// reversePatch is the RFC 6902 patch from an object to the version before.
func reversePatch(now, before stix.Object) (json.RawMessage, error) {
	return stix.Diff(now, before), nil
}
