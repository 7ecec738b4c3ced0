package observable

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDetect(t *testing.T) {
	const md5, sha1 = "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709"
	sha256 := strings.Repeat("ab", 32)
	for _, c := range []struct {
		in   string
		want Value
	}{
		{"198.51.100.7", Value{Type: "ipv4-addr", Value: "198.51.100.7"}},
		{" 198[.]51[.]100[.]7 ", Value{Type: "ipv4-addr", Value: "198.51.100.7"}},
		{"198.51.100[.]7", Value{Type: "ipv4-addr", Value: "198.51.100.7"}},
		{"198.51.100.7:8080", Value{Type: "ipv4-addr", Value: "198.51.100.7", Port: 8080}},
		{"198.51.100.77/24", Value{Type: "ipv4-addr", Value: "198.51.100.0/24", Network: true}},
		{"198.51.100.7/32", Value{Type: "ipv4-addr", Value: "198.51.100.7"}},
		{"2001:DB8:0:0::1", Value{Type: "ipv6-addr", Value: "2001:db8::1"}},
		{"[2001:db8::1]", Value{Type: "ipv6-addr", Value: "2001:db8::1"}},
		{"[2001:db8::1]:443", Value{Type: "ipv6-addr", Value: "2001:db8::1", Port: 443}},
		{"2001[:]db8[:][:]1", Value{Type: "ipv6-addr", Value: "2001:db8::1"}},
		{"2001:db8::/32", Value{Type: "ipv6-addr", Value: "2001:db8::/32", Network: true}},
		{"::ffff:198.51.100.7", Value{Type: "ipv4-addr", Value: "198.51.100.7"}},
		{"fe80::1%eth0", Value{Type: "ipv6-addr", Value: "fe80::1"}},

		{"Evil.Example.COM.", Value{Type: "domain-name", Value: "evil.example.com"}},
		{"evil[.]example(.)com", Value{Type: "domain-name", Value: "evil.example.com"}},
		{"evil[dot]example{.}com", Value{Type: "domain-name", Value: "evil.example.com"}},
		{`evil\.example\.com`, Value{Type: "domain-name", Value: "evil.example.com"}},
		{"*.example.com", Value{Type: "domain-name", Value: "example.com"}},
		{"example.com:8443", Value{Type: "domain-name", Value: "example.com", Port: 8443}},
		{"bücher.example", Value{Type: "domain-name", Value: "xn--bcher-kva.example"}},
		{"пример.рф", Value{Type: "domain-name", Value: "xn--e1afmkfd.xn--p1ai"}},
		{"XN--BCHER-KVA.example", Value{Type: "domain-name", Value: "xn--bcher-kva.example"}},
		{"_dmarc.example.com", Value{Type: "domain-name", Value: "_dmarc.example.com"}},
		{"example\u200b.com", Value{Type: "domain-name", Value: "example.com"}},

		{"hxxps://Evil[.]Example/Path?Q=1#F", Value{Type: "url", Value: "https://evil.example/Path?Q=1#F"}},
		{"hXXp[:]//evil[.]example", Value{Type: "url", Value: "http://evil.example"}},
		{"h**p://evil.example/", Value{Type: "url", Value: "http://evil.example/"}},
		{"HTTP://evil.example:80/a", Value{Type: "url", Value: "http://evil.example/a"}},
		{"https://evil.example:8443/a b", Value{Type: "url", Value: "https://evil.example:8443/a%20b"}},
		{"http://user:pa@ss@evil.example/", Value{Type: "url", Value: "http://user:pa@ss@evil.example/"}},
		{"http://bank.example@198[.]51[.]100[.]7/", Value{Type: "url", Value: "http://bank.example@198.51.100.7/"}},
		{"http://[2001:DB8::1]:8080/x", Value{Type: "url", Value: "http://[2001:db8::1]:8080/x"}},
		{"http://bücher.example/ü", Value{Type: "url", Value: "http://xn--bcher-kva.example/%C3%BC"}},
		{"evil[.]example.com/path/x.exe", Value{Type: "url", Value: "http://evil.example.com/path/x.exe", Assumed: true}},
		{"198.51.100.7:8080/x", Value{Type: "url", Value: "http://198.51.100.7:8080/x", Assumed: true}},
		{"<http://evil.example/>", Value{Type: "url", Value: "http://evil.example/"}},
		{`"http://evil.example/"`, Value{Type: "url", Value: "http://evil.example/"}},
		{"fxp://evil.example/x", Value{Type: "url", Value: "ftp://evil.example/x"}},

		{"Some.One[at]Evil[.]Example", Value{Type: "email-addr", Value: "Some.One@evil.example"}},
		{"mailto:a@evil.example", Value{Type: "email-addr", Value: "a@evil.example"}},

		{strings.ToUpper(md5), Value{Type: "file", Hash: "MD5", Value: md5}},
		{sha1, Value{Type: "file", Hash: "SHA-1", Value: sha1}},
		{sha256, Value{Type: "file", Hash: "SHA-256", Value: sha256}},
		{sha256 + sha256, Value{Type: "file", Hash: "SHA-512", Value: sha256 + sha256}},
		{"md5:" + md5, Value{Type: "file", Hash: "MD5", Value: md5}},
		{"3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C", Value{Type: "file", Hash: "SSDEEP", Value: "3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C"}},
		{"T1" + strings.Repeat("0f", 35), Value{Type: "file", Hash: "TLSH", Value: "T1" + strings.Repeat("0F", 35)}},

		{"00-1A-2B-3C-4D-5E", Value{Type: "mac-addr", Value: "00:1a:2b:3c:4d:5e"}},
		{"001a.2b3c.4d5e", Value{Type: "mac-addr", Value: "00:1a:2b:3c:4d:5e"}},
		{"001A2B3C4D5E", Value{Type: "mac-addr", Value: "00:1a:2b:3c:4d:5e"}},
		{"AS64500", Value{Type: "autonomous-system", Value: "64500"}},
		{"asn: 64500", Value{Type: "autonomous-system", Value: "64500"}},
		{"AS1.10", Value{Type: "autonomous-system", Value: "65546"}},
		{"cve-2024-12345", Value{Type: "vulnerability", Value: "CVE-2024-12345"}},
		{`HKLM\Software\Evil.exe`, Value{Type: "windows-registry-key", Value: `HKEY_LOCAL_MACHINE\Software\Evil.exe`}},
	} {
		got, err := Detect(c.in)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%q: %v %s", c.in, err, diff)
			continue
		}
		if again, err := As(got.Type, got.Value); err != nil || again.Value != got.Value {
			t.Errorf("%q: the usual form %q is not its own: %q, %v", c.in, got.Value, again.Value, err)
		}
	}
	for _, in := range []string{"", " ", "word", "999.1.1.1", "1.2.3", "010.1.1.1", "a..b.example", "-a.example", "http://", "http:///x", "x@", "@x.example", "AS", "AS99999999999", "CVE-24-1", "123456789012", "example.123", "http://a b/", strings.Repeat("a.", 100000), "\x00\x01", "10.0.0.1:99999"} {
		if got, err := Detect(in); err == nil || err != nil && len(in) < 1000 && !errors.Is(err, ErrUnknown) {
			t.Errorf("%.40q was read as %+v, %v", in, got, err)
		}
	}
}

// TestDetectIsNotFooled is about values that are easily read as something else.
func TestDetectIsNotFooled(t *testing.T) {
	for _, c := range []struct{ in, typ, want string }{
		// What stands behind the host is not defanged.
		{"http://evil.example/?mail=me at home", "url", "http://evil.example/?mail=me%20at%20home"},
		{"hxxp://evil[.]example/?q=(a)[at]b", "url", "http://evil.example/?q=(a)[at]b"},
		{"https://evil.example/a(.)b", "url", "https://evil.example/a(.)b"},
		{"http://evil[.]example/path[.]exe", "url", "http://evil.example/path.exe"},
		{"evil[.]example[/]path", "url", "http://evil.example/path"},
		{`http://evil.example/foo\.bar`, "url", `http://evil.example/foo\.bar`},
		{"hxxp://evil[.]example/x?a=[1]&b={2}", "url", "http://evil.example/x?a=[1]&b={2}"},
		// Schemes
		{"hxxps[://]evil[.]example", "url", "https://evil.example"},
		{"tcp[:]//198[.]51[.]100[.]7:80", "url", "tcp://198.51.100.7:80"},
		{"http:/evil.example/x", "url", "http://evil.example/x"},
		{"help://evil.example", "url", "help://evil.example"},
		{"http/1.1", "", ""},
		{"file://c:/x", "", ""},
		{"http://http://evil.example/", "", ""},
		{"javascript:alert(1)", "", ""},
		// The host is the one that browsers go to; where they differ there is none.
		{"http://good.example@evil.example/", "url", "http://good.example@evil.example/"},
		{"http://good.example#@evil.example/", "url", "http://good.example#@evil.example/"},
		{`http://evil.example\@good.example/`, "", ""},
		{"http://ev%69l.example/", "", ""},
		{"http://evil..example/", "", ""},
		{"http://evil.example.:80/", "url", "http://evil.example/"},
		{"http://evil.example:0080/", "url", "http://evil.example/"},
		{"https://evil.example:80/", "url", "https://evil.example:80/"},
		{"http://u:p@[2001:DB8::1]:99/", "url", "http://u:p@[2001:db8::1]:99/"},
		{"http://[::ffff:198.51.100.7]/", "url", "http://198.51.100.7/"},
		{"http://evil.example/%2E%2e/ü%", "url", "http://evil.example/%2E%2e/%C3%BC%25"},
		{`http://evil.example/a'b"c<d>`, "url", "http://evil.example/a'b%22c%3Cd%3E"},
		{"http://evil.example/a\nb", "", ""},
		// Ranges
		{"10.0.0.0/33", "", ""},
		{"10.0.0.0/08", "", ""},
		{"0.0.0.0/0", "", ""},
		{"::/0", "", ""},
		{"::ffff:0:0/96", "", ""},
		{"::ffff:10.1.2.3/104", "ipv4-addr", "10.0.0.0/8"},
		{"10.0.0.1-10.0.0.5", "", ""},
		{"AB:CD:EF:00:11:22:33:44", "", ""},
		{"12:30:45", "", ""},
		// Names
		{"go\xffogle.example", "", ""},
		{"go\ufffdogle.example", "", ""},
		{"http://evil.example/a\ufffdb", "", ""},
		{"good\u200dname.example", "", ""},
		{"\u202eevil.example", "", ""},
		{"evil.example\x00.good.example", "", ""},
		{"“evil.example”", "domain-name", "evil.example"},
		{"evil.example”", "", ""},
		{"evil。example", "domain-name", "evil.example"},
		{"аррӏе.example", "domain-name", "xn--80ak6aa92e.example"},
		{"us--start.example", "domain-name", "us--start.example"},
		{"xn--a.example", "", ""},
		{"setup.exe", "", ""},
		{"index.html", "", ""},
		{"d41d8cd98f00b204e9800998ecf8427e.dll", "", ""},
		{"archive.zip", "domain-name", "archive.zip"},
		{"facade.deed.beef", "domain-name", "facade.deed.beef"},
		{"user@198.51.100.7", "", ""},
		{"user@@evil.example", "", ""},
		{"Name <user@evil.example>", "", ""},
		{"MAILTO:user@evil.example?subject=x", "email-addr", "user@evil.example"},
		// Hashes and numbers
		{"sha256:d41d8cd98f00b204e9800998ecf8427e", "", ""},
		{"d41d8cd98f00b204e9800998ecf8427", "", ""},
		{"d41d8cd9-8f00-b204-e980-0998ecf8427e", "", ""},
		{"123:abc:def", "", ""},
		{"ASIA", "", ""},
		{"AS4294967296", "", ""},
		{"AS15169 Example LLC", "", ""},
		{"CVE-2024-123", "", ""},
		{"CVE-2024-٣٤٥٦", "", ""},
		{"2130706433", "", ""},
		{`HKLM\\Software\\x\`, "windows-registry-key", `HKEY_LOCAL_MACHINE\Software\x`},
		{`HKCU\a[.]b`, "windows-registry-key", `HKEY_CURRENT_USER\a[.]b`},
		{`C:\Windows\x.exe`, "", ""},
	} {
		got, err := Detect(c.in)
		if got.Type != c.typ || got.Value != c.want || (err == nil) != (c.typ != "") {
			t.Errorf("%q: got %s %q, %v, want %s %q", c.in, got.Type, got.Value, err, c.typ, c.want)
		}
	}
}

func TestAsChecksTheType(t *testing.T) {
	for _, c := range []struct{ typ, in, want string }{
		{"ip", "10.0.0.1", "10.0.0.1"}, {"url", "example.com", "http://example.com"}, {"hostname", "SRV-01", "srv-01"},
		{"autonomous-system", "64500", "64500"}, {"domain-name", "Setup.exe", "setup.exe"}, {"ipv6-addr", "AB:CD:EF:00:11:22:33:44", "ab:cd:ef:0:11:22:33:44"}, {"windows-registry-key", "HKEY_USERS", "HKEY_USERS"},
		{"sha-256", strings.Repeat("AB", 32), strings.Repeat("ab", 32)}, {"SHA3-256", strings.Repeat("AB", 32), strings.Repeat("ab", 32)},
	} {
		if got, err := As(c.typ, c.in); err != nil || got.Value != c.want {
			t.Errorf("%s %q: got %+v, %v", c.typ, c.in, got, err)
		}
	}
	for typ, in := range map[string]string{"ipv6-addr": "10.0.0.1", "domain-name": "10.0.0.1", "md5": "ab", "no-such-type": "x", "email-addr": "x.example"} {
		if got, err := As(typ, in); err == nil {
			t.Errorf("%s %q was read as %+v", typ, in, got)
		}
	}
}

func FuzzDetect(f *testing.F) {
	for _, s := range []string{"hxxp://a[.]b/c", "[2001:db8::1]:443", "md5:d41d8cd98f00b204e9800998ecf8427e", "a@b.example", "HKLM\\x", "bücher.example/ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Detect(s)
		if err != nil {
			return
		}
		again, err := As(v.Type, v.Value)
		if v.Type == "file" {
			again, err = As(v.Hash, v.Value)
		}
		if err != nil || again.Value != v.Value {
			t.Fatalf("%q gave %+v, which is not its own usual form: %+v %v", s, v, again, err)
		}
	})
}

func BenchmarkDetect(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Detect("hxxps://evil[.]example.com/path"); err != nil {
			b.Fatal(err)
		}
	}
}
