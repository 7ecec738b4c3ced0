package stix

import (
	"fmt"
	"strings"
)

// TLP is a level of the Traffic Light Protocol 2.0.
type TLP uint8

// The levels, by rising strictness. Unmarked is the absence of a TLP marking.
const (
	Unmarked TLP = iota
	Clear
	Green
	Amber
	AmberStrict
	Red
)

var levels = [...]struct{ token, id, id2 string }{
	Unmarked:    {"unmarked", "", ""},
	Clear:       {"clear", "613f2e26-407d-48c7-9eca-b8e91df99dc9", "94868c89-83c2-464b-929b-a1a8aa3c8487"},
	Green:       {"green", "34098fce-860f-48ae-8e50-ebd3cc5e41da", "bab4a63c-aed9-4cf5-a766-dfca5abac2bb"},
	Amber:       {"amber", "f88d31f6-486f-44da-b317-01333bde0b82", "55d920b0-5e8b-4f79-9ee9-91f868d9b421"},
	AmberStrict: {"amber_strict", "826578e1-40ad-459f-bc73-ede076f81f37", "939a9414-2ddd-4d32-a0cd-375ea402b003"},
	Red:         {"red", "5e57c739-391a-4eb3-b6be-7d15ca92d5ed", "e828b379-4e03-4974-9ac4-e53a884c97c1"},
}

const markingPrefix = "marking-definition--"

// String is the level's token in subjects and output.
func (t TLP) String() string {
	if int(t) >= len(levels) {
		return fmt.Sprintf("TLP(%d)", uint8(t))
	}
	return levels[t].token
}

// Rank orders levels for comparing them with a ceiling: clear 0, green 1, amber 2,
// amber_strict 3, red 4. Unmarked counts as amber.
func (t TLP) Rank() int {
	switch {
	case t == Unmarked:
		return Amber.Rank()
	case t > Red:
		return Red.Rank() // what is not known is kept back
	}
	return int(t) - 1
}

// MarkingID is the id of the level's marking-definition in TLP 1.0, which OpenCTI uses too
// (amber_strict has OpenCTI's own); empty for Unmarked.
func (t TLP) MarkingID() string {
	if t == Unmarked || int(t) >= len(levels) {
		return ""
	}
	return markingPrefix + levels[t].id
}

// Strictest is the stricter of the two; Unmarked only if both are.
func (t TLP) Strictest(u TLP) TLP { return max(t, u) }

// MarshalText is the level's token.
func (t TLP) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads any usual spelling.
func (t *TLP) UnmarshalText(b []byte) error {
	level, err := ParseTLP(string(b))
	if err == nil {
		*t = level
	}
	return err
}

// ParseTLP reads any usual spelling: "TLP:WHITE", "amber+strict", "AMBER_STRICT",
// "tlp: clear".
func ParseTLP(s string) (TLP, error) {
	var b [16]byte
	word := b[:0]
	for _, c := range []byte(strings.ToLower(strings.TrimSpace(s))) {
		if c >= 'a' && c <= 'z' {
			word = append(word, c)
		} else if strings.IndexByte(" :+_-./", c) < 0 {
			word = append(word, '?')
		}
		if len(word) == cap(word) {
			break
		}
	}
	name := strings.TrimPrefix(string(word), "tlp")
	switch name {
	case "clear", "white":
		return Clear, nil
	case "green":
		return Green, nil
	case "amber":
		return Amber, nil
	case "amberstrict":
		return AmberStrict, nil
	case "red":
		return Red, nil
	case "unmarked":
		return Unmarked, nil
	}
	return Unmarked, fmt.Errorf("%q is no TLP: want clear, green, amber, amber_strict, red or unmarked", s)
}

// fixed holds the ids that TLP 1.0, TLP 2.0 and OpenCTI give to the levels.
var fixed = func() map[string]TLP {
	m := map[string]TLP{}
	for level, names := range levels {
		if names.id != "" {
			m[markingPrefix+names.id] = TLP(level)
			m[markingPrefix+names.id2] = TLP(level)
		}
	}
	return m
}()

// MarkingTLP is the level of a marking-definition id of TLP 1.0, TLP 2.0 or OpenCTI.
func MarkingTLP(id string) (TLP, bool) {
	level, ok := fixed[id]
	return level, ok
}
