package subscriber

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Credentials are all that a subscriber needs to receive: a context of the nats command line, and plain JSON for other programs.
type Credentials struct {
	Description string `json:"description"`
	URL         string `json:"url"`
	User        string `json:"user"`
	Password    string `json:"password"`
	APIPrefix   string `json:"jetstream_api_prefix"`
}

// Credentials of the subscriber, for servers at these addresses (comma separated). What they hold of somebody else's login is left out.
func (s Subscriber) Credentials(addresses, password string) Credentials {
	return Credentials{
		Description: "stixbridge events for " + s.Name + ", up to TLP " + s.MaxTLP.String(),
		URL:         bare(addresses), User: s.User(), Password: password, APIPrefix: APIPrefix,
	}
}

func bare(addresses string) string {
	var all []string
	for a := range strings.SplitSeq(addresses, ",") {
		a = strings.TrimSpace(a)
		if !strings.Contains(a, "://") {
			a = "nats://" + a
		}
		if u, err := url.Parse(a); err == nil {
			u.User = nil
			a = u.String()
		}
		all = append(all, a)
	}
	return strings.Join(all, ",")
}

// Create reserves a file for credentials, readable by its owner only, before there is anything to lose. It must not exist.
func Create(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if os.IsExist(err) {
		return nil, fmt.Errorf("%s exists; name another file with --credentials, or remove it", path)
	}
	return f, err
}

// Write fills a file and closes it.
func (c Credentials) Write(f *os.File) error {
	e := json.NewEncoder(f)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	err := e.Encode(c)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Replace writes a file as a whole in the place of one that may exist.
func (c Credentials) Replace(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // readable by its owner only
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := c.Write(f); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
