package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

const accountsFile = "accounts.json"

// Account is an outside party's own account in the embedded server. The account is the trust boundary: it shares no subject with the
// bridge's except the services that Imports name, and has no JetStream of its own.
type Account struct {
	Name    string   `json:"name"`
	User    string   `json:"user"`
	Hash    string   `json:"hash"` // bcrypt of the password; the password itself is never kept
	Imports []Import `json:"imports"`

	// Publish and Subscribe are all that its user may do inside of the account.
	Publish   []string `json:"publish"`
	Subscribe []string `json:"subscribe"`

	Connections   int64 `json:"connections"`
	Payload       int64 `json:"payload"`       // bytes of a message that it may publish
	Subscriptions int64 `json:"subscriptions"` // of one connection
}

// Import is a service of the bridge's account that an account may call. Its answers are streams of messages.
type Import struct {
	Service string `json:"service"` // subject in the bridge's account
	As      string `json:"as"`      // subject in the importing account
}

// ErrNoAccounts says that the server is not ours, so that its own configuration makes accounts.
var ErrNoAccounts = errors.New("accounts of an external server are made in its configuration")

// SetAccounts makes these the outside accounts of the embedded server, at once and for later starts. An account that is gone, or whose
// password is another, loses its connections. Only hashes of passwords are written.
func (b *Broker) SetAccounts(accounts []Account) error {
	if b.server == nil {
		return ErrNoAccounts
	}
	b.accounts.Lock()
	defer b.accounts.Unlock()
	text, err := json.MarshalIndent(accounts, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(b.dir, accountsFile)
	if have, err := os.ReadFile(path); err != nil || string(have) != string(text)+"\n" {
		if err := writeFile(path, append(text, '\n')); err != nil {
			return fmt.Errorf("keep the accounts: %w", err)
		}
	}
	return b.admit(accounts)
}

// loadAccounts brings back the accounts of the last run, before anybody of them can be turned away for good.
func (b *Broker) loadAccounts() error {
	path := filepath.Join(b.dir, accountsFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var accounts []Account
	if err == nil {
		if err := json.Unmarshal(text, &accounts); err != nil {
			return fmt.Errorf("%s is damaged: %w; delete it, it is made again from the event log's state", path, err)
		}
	}
	return b.admit(accounts)
}

// admit brings the server to the list.
func (b *Broker) admit(accounts []Account) error {
	before := b.door.members()
	now := map[string]Account{}
	for _, a := range accounts {
		now[a.Name] = a
		old, there := before[a.Name]
		old.Hash = a.Hash // the door's business
		if there && reflect.DeepEqual(a, old) {
			continue // making imports anew would lose requests on their way
		}
		if err := b.configure(a); err != nil {
			return fmt.Errorf("account %s: %w", a.Name, err)
		}
	}
	b.door.set(b.server, accounts)
	for name, old := range before {
		a, there := now[name]
		if !there {
			if err := b.apply(name, jwt.NewAccountClaims(name)); err != nil { // nothing to import any more
				return fmt.Errorf("account %s: %w", name, err)
			}
		}
		if !there || a.Hash != old.Hash || a.User != old.User || !slices.Equal(a.Publish, old.Publish) || !slices.Equal(a.Subscribe, old.Subscribe) {
			b.disconnect(name)
		}
	}
	return nil
}

// configure makes an account or brings it to what it should be.
func (b *Broker) configure(a Account) error {
	if a.Name == "" || strings.HasPrefix(a.Name, "$") || a.User == b.cred.Bridge.User || a.User == b.cred.Operator.User {
		return errors.New("name and user must be its own")
	}
	acc, _ := b.server.LookupOrRegisterAccount(a.Name)
	home := b.server.GlobalAccount()
	c := jwt.NewAccountClaims(a.Name)
	c.Limits.Conn, c.Limits.Payload, c.Limits.Subs, c.Limits.LeafNodeConn = a.Connections, a.Payload, a.Subscriptions, 0
	for _, i := range a.Imports {
		if err := home.AddServiceExportWithResponse(i.Service, server.Streamed, []*server.Account{acc}); err != nil {
			return fmt.Errorf("export %s: %w", i.Service, err)
		}
		c.Imports.Add(&jwt.Import{Account: home.Name, Subject: jwt.Subject(i.Service), LocalSubject: jwt.RenamingSubject(i.As), Type: jwt.Service})
	}
	return b.apply(a.Name, c)
}

// apply sets limits and imports of an account; those before are gone.
func (b *Broker) apply(name string, c *jwt.AccountClaims) error {
	acc, err := b.server.LookupAccount(name)
	if err != nil {
		return err
	}
	b.server.UpdateAccountClaims(acc, c)
	return nil
}

// Accounts names the outside accounts that are let in now.
func (b *Broker) Accounts() []string {
	if b.server == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(b.door.members()))
}

// Connected counts the connections of an outside account.
func (b *Broker) Connected(account string) int {
	if b.server == nil {
		return 0
	}
	acc, err := b.server.LookupAccount(account)
	if err != nil {
		return 0
	}
	return acc.NumLocalConnections()
}

// disconnect ends all connections of an account.
func (b *Broker) disconnect(account string) {
	z, err := b.server.Connz(&server.ConnzOptions{Account: account, Limit: 1 << 20})
	if err != nil {
		return
	}
	for _, c := range z.Conns {
		_ = b.server.DisconnectClientByID(c.Cid) // it may have gone by itself
	}
}
