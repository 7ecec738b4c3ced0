package warninglist

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// index answers which lists a value is on, in the time of a few map lookups, however long the lists are. Only substrings and
// expressions, of which there are few, are tried one by one.
type index struct {
	lists   []*list
	accepts []map[string]bool // attributes that a list is about; nil: all
	entries int
	skipped []string // expressions that this engine does not have

	exact    map[string][]int // folded value → lists
	hosts    map[string][]int // host, which stands for the hosts below it too
	networks map[netip.Prefix][]int
	lengths  [2][]int // prefix lengths in networks, of IPv4 and IPv6
	parts    []part
	patterns []pattern
}

type part struct {
	text string
	list int
}

type pattern struct {
	re   *regexp.Regexp
	list int
}

func newIndex() *index {
	return &index{exact: map[string][]int{}, hosts: map[string][]int{}, networks: map[netip.Prefix][]int{}}
}

func (x *index) add(l *list) error {
	n := len(x.lists)
	var accepts map[string]bool
	for _, a := range l.Attributes {
		if accepts == nil {
			accepts = map[string]bool{}
		}
		for _, half := range strings.Split(a, "|") {
			accepts[half] = true
		}
	}
	x.lists, x.accepts = append(x.lists, l), append(x.accepts, accepts)
	x.entries += len(l.Values)
	for _, v := range l.Values {
		switch l.Type {
		case "string":
			note(x.exact, fold(v), n)
		case "hostname":
			note(x.hosts, host(v), n)
		case "substring":
			if v != "" { // would be on every value
				x.parts = append(x.parts, part{fold(v), n})
			}
		case "regex":
			re, err := compile(v)
			if err != nil {
				x.skipped = append(x.skipped, fmt.Sprintf("%s: %s: %v", l.slug, v, err))
				continue
			}
			x.patterns = append(x.patterns, pattern{re, n})
		case "cidr":
			p, err := network(v)
			if err != nil {
				x.skipped = append(x.skipped, fmt.Sprintf("%s: %v", l.slug, err))
				continue
			}
			x.net(p, n)
		default:
			return fmt.Errorf("type %q is none of string, hostname, substring, cidr, regex", l.Type)
		}
	}
	l.Values = nil // indexed
	return nil
}

func note[K comparable](m map[K][]int, k K, list int) {
	if at := m[k]; len(at) == 0 || at[len(at)-1] != list {
		m[k] = append(at, list)
	}
}

func (x *index) net(p netip.Prefix, list int) {
	f := family(p.Addr())
	if !slices.Contains(x.lengths[f], p.Bits()) {
		x.lengths[f] = append(x.lengths[f], p.Bits())
	}
	note(x.networks, p, list)
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// network reads a range or a single address.
func network(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// compile reads an expression as PHP writes it, /…/i, or bare.
func compile(s string) (*regexp.Regexp, error) {
	if len(s) > 2 && strings.ContainsRune("/#~!@%", rune(s[0])) {
		if end := strings.LastIndexByte(s[1:], s[0]) + 1; end > 0 {
			flags := strings.Map(func(r rune) rune {
				if strings.ContainsRune("ims", r) {
					return r
				}
				return -1
			}, s[end+1:])
			s = s[1:end]
			if flags != "" {
				s = "(?" + flags + ")" + s
			}
		}
	}
	return regexp.Compile(s)
}

// match appends the lists that a value is on.
func (x *index) match(hits []int, v value) []int {
	take := func(lists []int) {
		for _, l := range lists {
			if x.about(l, v) {
				hits = append(hits, l)
			}
		}
	}
	folded := fold(v.text)
	take(x.exact[folded])
	h := v.host()
	if h != folded {
		take(x.exact[h]) // a list of names is about the host of a URL
	}
	for rest := h; rest != ""; {
		take(x.hosts[rest])
		_, rest, _ = strings.Cut(rest, ".")
	}
	if p, err := network(v.address()); err == nil {
		for _, bits := range x.lengths[family(p.Addr())] {
			if bits <= p.Bits() {
				wide, _ := p.Addr().Prefix(bits)
				take(x.networks[wide])
			}
		}
	}
	for _, p := range x.parts {
		if strings.Contains(folded, p.text) {
			take([]int{p.list})
		}
	}
	for _, p := range x.patterns {
		if p.re.MatchString(v.text) {
			take([]int{p.list})
		}
	}
	return hits
}

// about reports whether a list is meant for values of this kind.
func (x *index) about(list int, v value) bool {
	accepts := x.accepts[list]
	return accepts == nil || slices.ContainsFunc(v.attributes, func(a string) bool { return accepts[a] })
}

func fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
