package validate

import (
	"net/netip"
	"regexp"
	"strings"

	"golang.org/x/text/encoding/ianaindex"
)

// hashes checks a dictionary of hashes; of unknown algorithms any text passes.
func (c *checker) hashes(value any, at string) {
	c.in("2.7", func() {
		dict, ok := c.dictionary(value, at)
		if !ok {
			return
		}
		for _, name := range sortedKeys(dict) {
			place := at + "/" + escape(name)
			hash, ok := c.text(dict[name], place)
			switch {
			case len(name) < 3:
				c.add(place, RuleName, "%q is no hash algorithm", name)
			case ok && !validHash(name, hash):
				c.add(place, RuleFormat, "not a valid %s hash", name)
			}
		}
	})
}

func validHash(name, hash string) bool {
	digits := map[string]int{"MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-512": 128, "SHA3-256": 64, "SHA3-512": 128}[name]
	switch {
	case name == "SSDEEP":
		return hash != "" && len(hash) <= 128 && plain(hash, "/+:.")
	case name == "TLSH":
		return len(hash) == 70 && plain(hash, "")
	case digits == 0:
		return true
	}
	return len(hash) == digits && strings.Trim(strings.ToLower(hash), "0123456789abcdef") == ""
}

// plain reports whether s has letters, digits and the given characters only.
func plain(s, more string) bool {
	for i := range len(s) {
		b := s[i]
		if (b|0x20 < 'a' || b|0x20 > 'z') && (b < '0' || b > '9') && strings.IndexByte(more, b) < 0 {
			return false
		}
	}
	return true
}

var (
	cveID   = regexp.MustCompile(`^CVE-\d{4}-(0\d{3}|[1-9]\d{3,})$`)
	capecID = regexp.MustCompile(`^CAPEC-\d+$`)
	mime    = regexp.MustCompile(`^(application|audio|font|haptics|image|message|model|multipart|text|video)/[a-zA-Z0-9.+_-]+$`)
	mac     = regexp.MustCompile(`^([0-9a-f]{2}:){5}[0-9a-f]{2}$`)
	cpe     = regexp.MustCompile(`^cpe:2\.3:[aho*-](:(((\?*|\*?)([a-zA-Z0-9\-._]|(\\[\\*?!"#$%&'()+,/:;<=>@\[\]^` + "`" + `{|}~]))+(\?*|\*?))|[*-])){5}(:(([a-zA-Z]{2,3}(-([a-zA-Z]{2}|[0-9]{3}))?)|[*-]))(:(((\?*|\*?)([a-zA-Z0-9\-._]|(\\[\\*?!"#$%&'()+,/:;<=>@\[\]^` + "`" + `{|}~]))+(\?*|\*?))|[*-])){4}$`)
	// RFC 3986: scheme and authority, then path, query and fragment
	uriHead = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:(//(([A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?(\[[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]|([A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:\d*)?)?`)
	uriTail = regexp.MustCompile(`^([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*(\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?(#([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?$`)
)

// isURI reports whether s is a URI.
func isURI(s string) bool {
	head := uriHead.FindString(s)
	tail := s[len(head):]
	if head == "" || !uriTail.MatchString(tail) {
		return false
	}
	authority := strings.Contains(head, "//")
	return !authority && !strings.HasPrefix(tail, "//") || authority && (tail == "" || strings.IndexByte("/?#", tail[0]) >= 0)
}

// url checks a URL.
func (c *checker) url(value any, at string) {
	if s, ok := c.text(value, at); ok && !isURI(s) {
		c.add(at, RuleFormat, "%q is no URL", shorten(s))
	}
}

func (c *checker) matches(value any, at string, form *regexp.Regexp, what string) {
	if s, ok := c.text(value, at); ok && !form.MatchString(s) {
		c.add(at, RuleFormat, "%q is no %s", shorten(s), what)
	}
}

// externalReference checks one reference to another source.
func (c *checker) externalReference(value any, at string) {
	c.in("2.5", func() {
		o, ok := value.(object)
		if !ok {
			c.add(at, RuleType, "not an object")
			return
		}
		source, ok := c.want(o, at, "source_name")
		name := ""
		if ok {
			name, _ = c.text(source, at+"/source_name")
		}
		for _, p := range []string{"description", "url", "external_id"} {
			if value, ok := o[p]; ok {
				c.text(value, at+"/"+p)
			}
		}
		if url, ok := o["url"].(string); ok {
			c.url(url, at+"/url")
		}
		if hashes, ok := o["hashes"]; ok {
			c.hashes(hashes, at+"/hashes")
		}
		id, hasID := o["external_id"].(string)
		_, described := o["description"]
		_, linked := o["url"]
		switch {
		case name == "cve" && !cveID.MatchString(id):
			c.add(at+"/external_id", RuleFormat, "the source cve needs an id such as CVE-2026-12345")
		case name == "capec" && !capecID.MatchString(id):
			c.add(at+"/external_id", RuleFormat, "the source capec needs an id such as CAPEC-550")
		case name != "cve" && name != "capec" && (cveID.MatchString(id) || capecID.MatchString(id)):
			c.add(at+"/source_name", RuleFormat, "%s must come from the source cve or capec", id)
		case !hasID && !described && !linked && o["external_id"] == nil:
			c.add(at, RuleOneOf, "one of description, url, external_id is required")
		}
	})
}

func (c *checker) killChainPhase(value any, at string) {
	c.in("2.11", func() {
		o, ok := value.(object)
		if !ok {
			c.add(at, RuleType, "not an object")
			return
		}
		for _, name := range []string{"kill_chain_name", "phase_name"} {
			if value, ok := c.want(o, at, name); ok {
				c.text(value, at+"/"+name)
			}
		}
	})
}

// granularMarking checks one granular marking by itself.
func (c *checker) granularMarking(value any, at string) {
	c.in("7.2.3", func() {
		o, ok := value.(object)
		if !ok {
			c.add(at, RuleType, "not an object")
			return
		}
		if selectors, ok := c.want(o, at, "selectors"); ok {
			c.list(selectors, at+"/selectors", 1, func(value any, at string) {
				if s, ok := c.text(value, at); ok && !selectorText(s) {
					c.add(at, RuleFormat, "%q is no selector", shorten(s))
				}
			})
		}
		ref, marked := o["marking_ref"]
		lang, translated := o["lang"]
		if marked {
			c.id(ref, at+"/marking_ref", []string{"marking-definition"}, nil)
		}
		if translated {
			c.text(lang, at+"/lang")
		}
		if marked == translated {
			c.add(at, RuleOneOf, "one of marking_ref and lang is required, and not both")
		}
	})
}

// ip checks an address or a range of addresses.
func (c *checker) ip(value any, at string, four bool) {
	s, ok := c.text(value, at)
	if !ok {
		return
	}
	addr, err := netip.ParseAddr(s)
	if p, perr := netip.ParsePrefix(s); perr == nil {
		addr, err = p.Addr(), nil
	}
	if err != nil || addr.Is4() != four {
		c.add(at, RuleFormat, "%q is no address or range of this kind", shorten(s))
	}
}

func (c *checker) charset(value any, at string) {
	s, ok := c.text(value, at)
	if !ok {
		return
	}
	if name, err := ianaindex.IANA.Encoding(s); err != nil && name == nil {
		c.add(at, RuleFormat, "%q is no registered character set", shorten(s))
	}
}

// domain is lenient: names that exist may break the rules for host names.
func (c *checker) domain(value any, at string) {
	s, ok := c.text(value, at)
	if !ok {
		return
	}
	name := strings.TrimSuffix(s, ".")
	good := name != "" && len(name) <= 253 && !strings.ContainsAny(s, " \t\r\n/@:[]\\?#%,;()<>\"'!$&*+=^`{|}~")
	for _, label := range strings.Split(name, ".") {
		good = good && label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-'
	}
	if !good {
		c.add(at, RuleFormat, "%q is no domain name", shorten(s))
	}
}
