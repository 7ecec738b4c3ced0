package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
)

// reach fills in the address of an external server.
func (b *Broker) reach() error {
	if b.opt.Dir != "" {
		if err := os.MkdirAll(b.opt.Dir, 0o700); err != nil {
			return fmt.Errorf("nats.dir: %w", err)
		}
	}
	_, url, err := b.external()
	b.url = url
	return err
}

// external returns the connection options of the configuration, or of the named NATS context under it.
func (b *Broker) external() ([]nats.Option, string, error) {
	o := b.opt
	var opts []nats.Option
	if o.Context != "" {
		c, err := readContext(o.Context)
		if err != nil {
			return nil, "", err
		}
		o = c.over(o)
		if c.TLSFirst {
			opts = append(opts, nats.TLSHandshakeFirst())
		}
		if c.CA != "" {
			opts = append(opts, nats.RootCAs(c.CA))
		}
		if c.Cert != "" {
			opts = append(opts, nats.ClientCert(c.Cert, c.Key))
		}
	}
	if o.Creds != "" {
		if _, err := os.Stat(o.Creds); err != nil {
			return nil, "", fmt.Errorf("nats.creds: %w", err)
		}
		opts = append(opts, nats.UserCredentials(o.Creds))
	}
	if o.NKey != "" {
		k, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, "", fmt.Errorf("nats.nkey: %w", err)
		}
		opts = append(opts, k)
	}
	if o.User != "" {
		opts = append(opts, nats.UserInfo(o.User, o.Password))
	}
	if o.Token != "" {
		opts = append(opts, nats.Token(o.Token))
	}
	if o.TLS != nil {
		opts = append(opts, nats.Secure(o.TLS))
	}
	return opts, o.URL, nil
}

// contextFile holds what the bridge reads of a context of the nats command line.
type contextFile struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
	Token    string `json:"token"`
	Creds    string `json:"creds"`
	NKey     string `json:"nkey"`
	Cert     string `json:"cert"`
	Key      string `json:"key"`
	CA       string `json:"ca"`
	TLSFirst bool   `json:"tls_first"`
}

// readContext finds a context by name, or by the path of its file.
func readContext(name string) (c contextFile, err error) {
	path := name
	if !strings.HasSuffix(name, ".json") {
		home := os.Getenv("XDG_CONFIG_HOME")
		if home == "" {
			u, err := os.UserHomeDir()
			if err != nil {
				return c, fmt.Errorf("nats.context %s: %w", name, err)
			}
			home = filepath.Join(u, ".config")
		}
		path = filepath.Join(home, "nats", "context", name+".json")
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, fmt.Errorf("nats.context %s: no file %s; `nats context ls` lists what there is", name, path)
	}
	if err != nil {
		return c, fmt.Errorf("nats.context %s: %w", name, err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("nats.context %s: %s is damaged: %w", name, path, err)
	}
	return c, nil
}

// over lays the context under what the configuration itself sets.
func (c contextFile) over(o Options) Options {
	first := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	o.URL = first(o.URL, c.URL)
	o.Creds, o.NKey, o.Token = first(o.Creds, c.Creds), first(o.NKey, c.NKey), first(o.Token, c.Token)
	if o.User == "" {
		o.User, o.Password = c.User, c.Password
	}
	return o
}
