package opencti

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/stixbridge/stixbridge/internal/httpx"
)

// NormalURL is the form of a platform's URL that its identity is made from: lower-case scheme and host, no default port, no
// credentials, query, fragment or slash at the end.
func NormalURL(base string) string {
	u, err := url.Parse(strings.TrimSpace(base))
	if err != nil || u.Host == "" {
		return strings.TrimRight(strings.TrimSpace(base), "/")
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && !(scheme == "http" && port == "80") && !(scheme == "https" && port == "443") {
		host += ":" + port
	}
	return scheme + "://" + host + strings.TrimRight(u.EscapedPath(), "/")
}

// PlatformID identifies a platform by its URL: a UUIDv5. Events carry it as their origin.
func PlatformID(base string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(NormalURL(base))).String()
}

// ConnectorID is the default id of a connector: a UUIDv5 of the platform's URL and the connector's name, so that a restart, on
// whatever machine, is the same connector.
func ConnectorID(base, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(NormalURL(base)+"#"+name)).String()
}

// Address checks the base URL of a platform as a configuration has it.
func Address(base string) error {
	u, err := url.Parse(base)
	switch {
	case base == "":
		return errors.New("name the platform here, in opencti.url or in OPENCTI_URL")
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("%s is no http or https URL", httpx.Redact(base))
	}
	return nil
}
