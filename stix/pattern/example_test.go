package pattern_test

import (
	"fmt"

	"github.com/stixbridge/stixbridge/stix"
	"github.com/stixbridge/stixbridge/stix/pattern"
)

func ExampleExtract() {
	list, err := pattern.Extract(`[file:hashes.'SHA-1' = 'da39a3ee5e6b4b0d3255bfef95601890afd80709' OR ipv4-addr:value ISSUBSET '198.51.100.0/24']`)
	for _, o := range list {
		algorithm, hash, _ := o.Hash()
		fmt.Printf("%s %v %v %q %q\n", o.Type, o.CIDR, o.Value("value"), algorithm, hash)
	}
	fmt.Println(err)

	_, err = pattern.Extract(`[domain-name:value != 'good.example']`)
	fmt.Println(err)
	// Output:
	// file false <nil> "SHA-1" "da39a3ee5e6b4b0d3255bfef95601890afd80709"
	// ipv4-addr true 198.51.100.0/24 "" ""
	// <nil>
	// negation
}

func ExampleFormat() {
	s, err := pattern.Format(`[ (url:value=='http://example.org/') ]`)
	fmt.Println(s, err)
	_, err = pattern.Format(`[file:hashes.SHA-256 = 'x']`)
	fmt.Println(err)
	// Output:
	// [url:value = 'http://example.org/'] <nil>
	// 1:14: a property name in single quotes, because it has a hyphen, must stand here, not "SHA-256"
}

func ExamplePattern_Match() {
	p, err := pattern.Parse(`[ipv4-addr:value ISSUBSET '198.51.100.0/24' OR domain-name:value LIKE '%.evil.example']`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, raw := range []string{`{"type":"ipv4-addr","id":"ipv4-addr--1","value":"198.51.100.7"}`, `{"type":"domain-name","id":"domain-name--1","value":"good.example"}`} {
		o, err := stix.Parse([]byte(raw))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(p.Match(o, nil))
	}
	// Output:
	// true <nil>
	// false <nil>
}
