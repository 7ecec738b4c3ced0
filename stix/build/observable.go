package build

import (
	"strconv"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/stix"
	"github.com/stixbridge/stixbridge/stix/observable"
	"github.com/stixbridge/stixbridge/stix/pattern"
)

// mainTypes are OpenCTI's names of the observable types.
var mainTypes = map[string]string{
	"artifact": "Artifact", "autonomous-system": "Autonomous-System", "bank-account": "Bank-Account", "credential": "Credential",
	"cryptocurrency-wallet": "Cryptocurrency-Wallet", "cryptographic-key": "Cryptographic-Key", "directory": "Directory",
	"domain-name": "Domain-Name", "email-addr": "Email-Addr", "email-message": "Email-Message", "file": "StixFile", "hostname": "Hostname",
	"ipv4-addr": "IPv4-Addr", "ipv6-addr": "IPv6-Addr", "mac-addr": "Mac-Addr", "media-content": "Media-Content", "mutex": "Mutex",
	"network-traffic": "Network-Traffic", "payment-card": "Payment-Card", "persona": "Persona", "phone-number": "Phone-Number",
	"process": "Process", "software": "Software", "ssh-key": "SSH-Key", "text": "Text", "tracking-number": "Tracking-Number", "url": "Url",
	"user-account": "User-Account", "user-agent": "User-Agent", "windows-registry-key": "Windows-Registry-Key",
	"x509-certificate": "X509-Certificate", "ai-prompt": "AI-Prompt", "imei": "IMEI", "iccid": "ICCID", "imsi": "IMSI",
}

// Observable is the observable for a normalised value. A vulnerability is none: see
// [Vulnerability].
func Observable(v observable.Value) *Builder {
	b := Custom(v.Type, false)
	switch v.Type {
	case "file":
		return File("", map[string]string{v.Hash: v.Value})
	case "autonomous-system":
		return AutonomousSystem(v.Value, "")
	case "windows-registry-key":
		return b.need("key", v.Value)
	case "vulnerability":
		return b.fail("it is no observable")
	}
	return b.need("value", v.Value)
}

// File is a file by its hashes, named as STIX names the algorithms, its name, or both.
func File(name string, hashes map[string]string) *Builder {
	b := Custom("file", false)
	if len(hashes) > 0 {
		b.Set("hashes", hashes)
	} else if name == "" {
		return b.fail("a file needs hashes or a name")
	}
	return b.Set("name", name)
}

// AutonomousSystem is an autonomous system by its number; name may be empty.
func AutonomousSystem(number, name string) *Builder {
	b := Custom("autonomous-system", false)
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(number), "AS"), 10, 32)
	if err != nil {
		return b.fail("%q is no AS number", number)
	}
	return b.Set("number", n).Set("name", name)
}

// Software is software; all but the name may be empty.
func Software(name, vendor, version, cpe string) *Builder {
	return Custom("software", false).need("name", name).Set("cpe", cpe).Set("vendor", vendor).Set("version", version)
}

// UserAccount is an account; either may be empty.
func UserAccount(login, id string) *Builder {
	b := Custom("user-account", false).Set("account_login", login).Set("user_id", id)
	if login+id == "" {
		return b.fail("an account needs a login or an id")
	}
	return b
}

// Pattern is the STIX pattern that finds a normalised value.
func Pattern(v observable.Value) string {
	path, value := v.Type+":value", pattern.Quote(v.Value)
	switch v.Type {
	case "file":
		path = "file:hashes." + v.Hash
		if strings.Contains(v.Hash, "-") {
			path = "file:hashes.'" + v.Hash + "'"
		}
	case "autonomous-system":
		path, value = "autonomous-system:number", v.Value
	case "windows-registry-key":
		path = "windows-registry-key:key"
	case "ipv4-addr", "ipv6-addr":
		if v.Network {
			return "[" + path + " ISSUBSET " + value + "]"
		}
	}
	return "[" + path + " = " + value + "]"
}

// Indicator is the indicator for a normalised value: name, pattern and main type follow
// from it.
func Indicator(v observable.Value, validFrom time.Time) *Builder {
	if v.Type == "vulnerability" {
		return domain("indicator").fail("a vulnerability is no observable")
	}
	return IndicatorPattern(v.Value, "stix", Pattern(v), validFrom).Set("x_opencti_main_observable_type", mainTypes[v.Type])
}

// IndicatorPattern is an indicator for any pattern; kind is stix, sigma, yara, snort,
// suricata, pcre or another. A STIX pattern must parse.
func IndicatorPattern(name, kind, text string, validFrom time.Time) *Builder {
	b := domain("indicator").need("name", name).need("pattern", text).need("pattern_type", kind)
	if kind == "stix" {
		p, err := pattern.Parse(text)
		if err == nil {
			err = p.Check()
		}
		if err != nil {
			return b.fail("pattern: %w", err)
		}
	}
	if validFrom.IsZero() {
		return b.fail("valid_from is needed")
	}
	return b.Set("valid_from", validFrom).Created(validFrom)
}

// ValidUntil ends the validity of an indicator.
func (b *Builder) ValidUntil(t time.Time) *Builder {
	if from := b.date("valid_from"); !t.IsZero() && Time(t) <= from {
		return b.fail("valid_until %s is not after valid_from %s", Time(t), from)
	}
	return b.Set("valid_until", t)
}

// Detection says whether the indicator may be used for detection.
func (b *Builder) Detection(use bool) *Builder { return b.Set("x_opencti_detection", use) }

// BasedOn is the relationship from an indicator to its observable.
func BasedOn(indicator, observable stix.Object) *Builder {
	return Relationship("based-on", indicator, observable)
}
