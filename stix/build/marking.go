package build

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stixbridge/stixbridge/stix"
)

// TLP is the marking-definition of a level as OpenCTI knows it: that of TLP 1.0, and for
// amber_strict OpenCTI's own. Unmarked has none.
func TLP(level stix.TLP) (stix.Object, error) {
	word := map[stix.TLP]string{stix.Clear: "white", stix.Green: "green", stix.Amber: "amber", stix.Red: "red"}[level]
	switch {
	case word != "":
		return parse(`{"type":"marking-definition","spec_version":"2.1","id":%q,"created":"2017-01-20T00:00:00.000Z","definition_type":"tlp","name":"TLP:%s","definition":{"tlp":%q}}`,
			level.MarkingID(), strings.ToUpper(word), word)
	case level == stix.AmberStrict:
		return parse(`{"type":"marking-definition","spec_version":"2.1","id":%q,"created":"2017-01-20T00:00:00.000Z","definition_type":"statement","name":"TLP:AMBER+STRICT","definition":{"statement":"custom"},"x_opencti_definition_type":"TLP","x_opencti_definition":"TLP:AMBER+STRICT"}`,
			level.MarkingID())
	}
	return stix.Object{}, fmt.Errorf("there is no marking for %s", level)
}

var tlp2 = map[stix.TLP][2]string{
	stix.Clear:       {"94868c89-83c2-464b-929b-a1a8aa3c8487", "clear"},
	stix.Green:       {"bab4a63c-aed9-4cf5-a766-dfca5abac2bb", "green"},
	stix.Amber:       {"55d920b0-5e8b-4f79-9ee9-91f868d9b421", "amber"},
	stix.AmberStrict: {"939a9414-2ddd-4d32-a0cd-375ea402b003", "amber+strict"},
	stix.Red:         {"e828b379-4e03-4974-9ac4-e53a884c97c1", "red"},
}

// TLP2 is the marking-definition of a level in TLP 2.0.
func TLP2(level stix.TLP) (stix.Object, error) {
	m, ok := tlp2[level]
	if !ok {
		return stix.Object{}, fmt.Errorf("there is no marking for %s", level)
	}
	return parse(`{"type":"marking-definition","spec_version":"2.1","id":"marking-definition--%s","created":"2022-10-01T00:00:00.000Z","name":"TLP:%s","extensions":{%q:{"extension_type":"property-extension","tlp_2_0":%q}}}`,
		m[0], strings.ToUpper(m[1]), stix.TLP2Extension, m[1])
}

// PAP is the marking-definition of the Permissible Actions Protocol as OpenCTI knows it;
// level is clear, green, amber or red.
func PAP(level string) (stix.Object, error) {
	level = strings.ToUpper(level)
	switch level {
	case "CLEAR", "GREEN", "AMBER", "RED":
	default:
		return stix.Object{}, fmt.Errorf("%q is no PAP level", level)
	}
	id, err := stix.ID(fmt.Appendf(nil, `{"type":"marking-definition","definition_type":"PAP","definition":"PAP:%s"}`, level))
	if err != nil {
		return stix.Object{}, err
	}
	return parse(`{"type":"marking-definition","spec_version":"2.1","id":%q,"created":"2020-01-01T00:00:00.000Z","definition_type":"statement","name":"PAP:%s","definition":{"statement":"custom"},"x_opencti_definition_type":"PAP","x_opencti_definition":"PAP:%s"}`,
		id, level, level)
}

// Statement is the marking-definition of a copyright or of terms of use.
func Statement(text string) (stix.Object, error) {
	if text == "" {
		return stix.Object{}, fmt.Errorf("the statement is empty")
	}
	definition, err := json.Marshal(map[string]string{"statement": text})
	if err != nil {
		return stix.Object{}, err
	}
	id, err := stix.ID(fmt.Appendf(nil, `{"type":"marking-definition","definition_type":"statement","definition":%s}`, definition))
	if err != nil {
		return stix.Object{}, err
	}
	return parse(`{"type":"marking-definition","spec_version":"2.1","id":%q,"created":"2020-01-01T00:00:00.000Z","definition_type":"statement","definition":%s}`, id, definition)
}

func parse(format string, args ...any) (stix.Object, error) {
	return stix.Parse(fmt.Appendf(nil, format, args...))
}
