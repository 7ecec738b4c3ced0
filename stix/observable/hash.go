package observable

import (
	"math/bits"
	"regexp"
	"strconv"
	"strings"
)

var (
	byLength = map[int]string{32: "MD5", 40: "SHA-1", 64: "SHA-256", 128: "SHA-512"}

	// lengths of the algorithms' hashes in hexadecimal digits, by their usual names
	lengths = map[string]struct {
		name   string
		digits int
	}{
		"md5": {"MD5", 32}, "sha1": {"SHA-1", 40}, "sha224": {"SHA-224", 56}, "sha256": {"SHA-256", 64}, "sha384": {"SHA-384", 96},
		"sha512": {"SHA-512", 128}, "sha3256": {"SHA3-256", 64}, "sha3512": {"SHA3-512", 128}, "imphash": {"IMPHASH", 32},
	}
	fuzzy   = regexp.MustCompile(`^\d+:[A-Za-z0-9/+]{3,}:[A-Za-z0-9/+]+$`)
	tlsh    = regexp.MustCompile(`^(?i:t1)[0-9A-Fa-f]{70}$`)
	cveForm = regexp.MustCompile(`^(?i:cve)[-_ ](\d{4})[-_ ](\d{4,19})$`)
)

// hash reads hashes: the length tells the algorithm.
func hash(s string) (Value, bool) {
	// As some lists write it: md5:d41d8cd9…
	if name, value, ok := strings.Cut(s, ":"); ok {
		if v, ok := hashAs(name, value); ok {
			return v, true
		}
	}
	if name := byLength[len(s)]; name != "" && isHex(s) {
		return Value{Type: "file", Hash: name, Value: strings.ToLower(s)}, true
	}
	switch {
	case tlsh.MatchString(s):
		return Value{Type: "file", Hash: "TLSH", Value: strings.ToUpper(s)}, true
	case isFuzzy(s):
		return Value{Type: "file", Hash: "SSDEEP", Value: s}, true
	}
	return Value{}, false
}

// isFuzzy reports whether s is an ssdeep hash: a block size, which is 3 times a power of 2,
// and two hashes.
func isFuzzy(s string) bool {
	size, _, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(size, 10, 32)
	return err == nil && n%3 == 0 && bits.OnesCount64(n/3) == 1 && len(s) <= 150 && fuzzy.MatchString(s)
}

// hashAs reads a hash of a known algorithm.
func hashAs(algorithm, s string) (Value, bool) {
	key := strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(algorithm))
	switch key {
	case "ssdeep":
		return Value{Type: "file", Hash: "SSDEEP", Value: s}, isFuzzy(s)
	case "tlsh":
		return Value{Type: "file", Hash: "TLSH", Value: strings.ToUpper(s)}, tlsh.MatchString(s) || len(s) == 70 && isHex(s)
	}
	a, ok := lengths[key]
	if s = strings.TrimSpace(s); !ok || len(s) != a.digits || !isHex(s) {
		return Value{}, false
	}
	return Value{Type: "file", Hash: a.name, Value: strings.ToLower(s)}, true
}

func cve(s string) (Value, bool) {
	m := cveForm.FindStringSubmatch(s)
	if m == nil {
		return Value{}, false
	}
	return Value{Type: "vulnerability", Value: "CVE-" + m[1] + "-" + m[2]}, true
}

var hives = map[string]string{
	"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER", "HKCR": "HKEY_CLASSES_ROOT", "HKU": "HKEY_USERS", "HKCC": "HKEY_CURRENT_CONFIG",
}

// registryKey reads keys of the Windows registry; the hive is written out.
func registryKey(s string) (Value, bool) {
	hive, path, _ := strings.Cut(s, `\`)
	hive = strings.TrimSuffix(strings.ToUpper(hive), ":")
	path = strings.Trim(separators.ReplaceAllString(path, `\`), `\`)
	if full, short := hives[hive]; short {
		hive = full
	}
	known := false
	for _, name := range hives {
		known = known || name == hive
	}
	switch {
	case !known || !strings.Contains(s, `\`) && s != hive:
		return Value{}, false
	case path == "":
		return Value{Type: "windows-registry-key", Value: hive}, true
	}
	return Value{Type: "windows-registry-key", Value: hive + `\` + path}, true
}

// separators are doubled where the source escaped them.
var separators = regexp.MustCompile(`\\+`)
