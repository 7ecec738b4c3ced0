package observable_test

import (
	"fmt"

	"github.com/stixbridge/stixbridge/stix/observable"
)

func ExampleDetect() {
	for _, s := range []string{
		"hxxps://Evil[.]Example:443/Path", "198[.]51[.]100[.]7:8080", "2001:DB8:0:0::/32", "bücher.example.", "D41D8CD98F00B204E9800998ECF8427E",
		"someone[at]evil[.]example", "00-1A-2B-3C-4D-5E", "asn 64500", "cve-2024-12345", "setup.exe",
	} {
		v, err := observable.Detect(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Print(v.Type, " ", v.Value)
		if v.Hash != "" {
			fmt.Print(" ", v.Hash)
		}
		if v.Port != 0 {
			fmt.Print(" port ", v.Port)
		}
		fmt.Println()
	}
	// Output:
	// url https://evil.example/Path
	// ipv4-addr 198.51.100.7 port 8080
	// ipv6-addr 2001:db8::/32
	// domain-name xn--bcher-kva.example
	// file d41d8cd98f00b204e9800998ecf8427e MD5
	// email-addr someone@evil.example
	// mac-addr 00:1a:2b:3c:4d:5e
	// autonomous-system 64500
	// vulnerability CVE-2024-12345
	// "setup.exe": cannot tell what this is: it looks like the name of a file
}

func ExampleAs() {
	v, err := observable.As("sha-1", " DA39A3EE5E6B4B0D3255BFEF95601890AFD80709")
	fmt.Println(v.Type, v.Hash, v.Value, err)
	_, err = observable.As("ipv4-addr", "2001:db8::1")
	fmt.Println(err)
	// Output:
	// file SHA-1 da39a3ee5e6b4b0d3255bfef95601890afd80709 <nil>
	// "2001:db8::1" is no ipv4-addr
}
