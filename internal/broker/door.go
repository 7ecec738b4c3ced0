package broker

import (
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/crypto/bcrypt"
)

// door decides who may enter the embedded server: our own users, which are fixed, and the users of outside accounts, which come and go
// while it runs.
type door struct {
	own map[string]*server.User

	mu     sync.RWMutex
	guests map[string]guest // by user
	opened bool
	open   chan struct{} // closed when the outside accounts are known
}

type guest struct {
	account Account
	user    *server.User
}

func newDoor(own []*server.User) *door {
	d := &door{own: map[string]*server.User{}, open: make(chan struct{})}
	for _, u := range own {
		d.own[u.Username] = u
	}
	return d
}

// opening is how long a guest waits at the door while the server starts. Most clients give up for good after being refused twice.
const opening = 5 * time.Second

// Check is asked for each connection, in the connection's own goroutine.
func (d *door) Check(c server.ClientAuthentication) bool {
	if c.Kind() != server.CLIENT { // no routes, no leaf nodes
		return false
	}
	o := c.GetOpts()
	if u, ok := d.own[o.Username]; ok {
		if !matches(u.Password, o.Password) {
			return false
		}
		c.RegisterUser(u)
		return true
	}
	select {
	case <-d.open:
	case <-time.After(opening):
		return false
	}
	d.mu.RLock() // until it is registered: who is shown out meanwhile must be seen to be there
	defer d.mu.RUnlock()
	g, ok := d.guests[o.Username]
	if !ok || !matches(g.account.Hash, o.Password) {
		return false
	}
	c.RegisterUser(g.user) // closes the connection when the account has too many
	return true
}

func matches(hash, password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}

// set makes these the guests.
func (d *door) set(s *server.Server, accounts []Account) {
	guests := map[string]guest{}
	for _, a := range accounts {
		acc, err := s.LookupAccount(a.Name)
		if err != nil {
			continue // it was made just before
		}
		guests[a.User] = guest{account: a, user: &server.User{
			Username: a.User, Account: acc,
			Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: a.Publish}, Subscribe: &server.SubjectPermission{Allow: a.Subscribe}},
		}}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.guests = guests
	if !d.opened {
		d.opened = true
		close(d.open)
	}
}

// members are the accounts of the guests, by name.
func (d *door) members() map[string]Account {
	d.mu.RLock()
	defer d.mu.RUnlock()
	m := map[string]Account{}
	for _, g := range d.guests {
		m[g.account.Name] = g.account
	}
	return m
}
