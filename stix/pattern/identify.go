package pattern

import "strings"

// identities are the properties that identify an observable, by its type. "hashes" stands
// for any hash.
var identities = map[string][]string{
	"artifact":              {"hashes"},
	"autonomous-system":     {"number"},
	"bank-account":          {"iban"},
	"directory":             {"path"},
	"email-message":         {"subject", "body"},
	"file":                  {"hashes", "name"},
	"media-content":         {"url"},
	"mutex":                 {"name"},
	"payment-card":          {"card_number"},
	"persona":               {"persona_name"},
	"process":               {"command_line"},
	"software":              {"name"},
	"user-account":          {"account_login", "user_id"},
	"windows-registry-key":  {"key"},
	"x509-certificate":      {"hashes", "serial_number"},
	"domain-name":           {"value"},
	"email-addr":            {"value"},
	"ipv4-addr":             {"value"},
	"ipv6-addr":             {"value"},
	"mac-addr":              {"value"},
	"url":                   {"value"},
	"hostname":              {"value"},
	"text":                  {"value"},
	"user-agent":            {"value"},
	"cryptocurrency-wallet": {"value"},
	"cryptographic-key":     {"value"},
	"credential":            {"value"},
	"phone-number":          {"value"},
	"tracking-number":       {"value"},
	"ssh-key":               {"value"},
	"ai-prompt":             {"value"},
	"imei":                  {"value"},
	"iccid":                 {"value"},
	"imsi":                  {"value"},

	// observables that nothing identifies
	"email-mime-part-type":        nil,
	"network-traffic":             nil,
	"windows-registry-value-type": nil,
}

func observable(typ string) bool {
	_, ok := identities[typ]
	return ok
}

// identifies is the path's usual text if the comparison can identify an observable: its path
// does, and its values are not bytes or times, which are not the text that they are written
// with.
func (c *Condition) identifies() (string, bool) {
	for _, v := range c.Values {
		if v.Kind == Binary || v.Kind == Hex || v.Kind == Time {
			return "", false
		}
	}
	return identifying(c.Path)
}

// identifying is the path's usual text if it identifies the observable.
func identifying(p Path) (string, bool) {
	if p.Steps[0].List {
		return "", false
	}
	names := make([]string, len(p.Steps))
	for i, s := range p.Steps {
		if s.List {
			return "", false
		}
		names[i] = s.Name
	}
	for _, name := range identities[p.Type] {
		if names[0] == name && (len(names) == 1 && name != "hashes" || len(names) == 2 && name == "hashes") {
			return strings.Join(names, "."), true
		}
	}
	return "", false
}
