package broker

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/crypto/bcrypt"
)

// ContextName is the NATS context that the embedded server's directory offers: XDG_CONFIG_HOME=<dir> nats --context stixbridge …
const ContextName = "stixbridge"

const credentialsFile = "credentials.json"

type login struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

type credentials struct {
	Bridge   login  `json:"bridge"`
	Operator login  `json:"operator"`
	producer string // one password for all producer users; it never leaves the process
}

// loadCredentials reads the directory's logins, or makes them at the first start.
func loadCredentials(dir string) (c credentials, err error) {
	c.producer = rand.Text()
	path := filepath.Join(dir, credentialsFile)
	b, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(b, &c); err != nil || c.Bridge.Password == "" || c.Operator.Password == "" {
			return c, fmt.Errorf("%s is damaged; delete it, new credentials are made at the next start", path)
		}
		return c, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return c, err
	}
	c.Bridge = login{"bridge", rand.Text()}
	c.Operator = login{"operator", rand.Text()}
	b, err = json.MarshalIndent(c, "", "  ")
	if err != nil {
		return c, err
	}
	return c, writeFile(path, append(b, '\n'))
}

func producerUser(name string) string { return "producer." + name }

// users of the embedded server. A producer may publish what carries its name and nothing else, so that no plugin can forge another source.
func (b *Broker) users() []*server.User {
	u := []*server.User{
		{Username: b.cred.Bridge.User, Password: hashed(b.cred.Bridge.Password)},
		{Username: b.cred.Operator.User, Password: hashed(b.cred.Operator.Password)},
	}
	producers := hashed(b.cred.producer)
	for _, name := range b.opt.Producers {
		u = append(u, &server.User{
			Username: producerUser(name), Password: producers,
			Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{
				"stix.v1." + name + ".>",
				"latest.v1.*.*." + name,
				"checkpoint.v1." + name,
			}}},
		})
	}
	return u
}

// hashed is the form in which the server keeps a password. The least cost will do: ours are 128 random bits.
func hashed(password string) string {
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return password // only one over 72 bytes fails; ours are 26
	}
	return string(h)
}

// natsContext is the file format of the nats command line's contexts.
type natsContext struct {
	Description string `json:"description"`
	URL         string `json:"url"`
	User        string `json:"user"`
	Password    string `json:"password"`
}

// ContextFile is where the embedded server's directory keeps its NATS context.
func ContextFile(dir string) string {
	return filepath.Join(dir, "nats", "context", ContextName+".json")
}

func writeContext(dir, url string, l login) error {
	b, err := json.MarshalIndent(natsContext{"stixbridge event log in " + dir, url, l.User, l.Password}, "", "  ")
	if err != nil {
		return err
	}
	path := ContextFile(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'))
}

// writeFile replaces a file as a whole, readable by its owner only.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
