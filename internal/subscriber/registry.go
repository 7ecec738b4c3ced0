package subscriber

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/stixbridge/stixbridge/internal/eventlog"
)

const keyPrefix = "subscriber."

// Errors of the registry.
var (
	ErrExists  = errors.New("there is a subscriber of that name")
	ErrUnknown = errors.New("no such subscriber")
)

// List returns the subscribers, by name.
func List(ctx context.Context, st *eventlog.State) (all []Subscriber, err error) {
	keys, err := st.Keys(ctx, keyPrefix)
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	for _, k := range keys {
		s, err := Get(ctx, st, strings.TrimPrefix(k, keyPrefix))
		if errors.Is(err, ErrUnknown) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Get returns a subscriber, or ErrUnknown.
func Get(ctx context.Context, st *eventlog.State, name string) (s Subscriber, err error) {
	s, _, err = get(ctx, st, name)
	return s, err
}

func get(ctx context.Context, st *eventlog.State, name string) (s Subscriber, revision uint64, err error) {
	if !nameForm.MatchString(name) {
		return s, 0, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	revision, err = st.Get(ctx, keyPrefix+name, &s)
	if err == nil && revision == 0 {
		err = fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	return s, revision, err
}

// Add makes a subscriber: its durable position, then its record, which a running bridge obeys at once. The password is returned once
// and kept nowhere. The position begins at the log's oldest event, at the next one, or at a time.
func Add(ctx context.Context, store *eventlog.Store, s Subscriber, start Start) (password string, err error) {
	if err := s.Check(); err != nil {
		return "", err
	}
	if password, s.Hash, err = secret(); err != nil {
		return "", err
	}
	s.Created = time.Now().UTC()
	if _, rev, err := get(ctx, store.State, s.Name); err == nil || rev > 0 {
		return "", fmt.Errorf("%w: %s; remove it first", ErrExists, s.Name)
	} else if !errors.Is(err, ErrUnknown) {
		return "", err
	}
	if err := makePosition(ctx, store, s, start); err != nil {
		return "", err
	}
	if _, err := store.State.Swap(ctx, keyPrefix+s.Name, s, 0); err != nil {
		if errors.Is(err, eventlog.ErrChanged) { // somebody else was quicker, and the position is theirs
			return "", fmt.Errorf("%w: %s", ErrExists, s.Name)
		}
		return "", errors.Join(err, dropPosition(ctx, store, s.Name))
	}
	return password, nil
}

// Rotate gives a subscriber a new password. Connections with the old one end at once.
func Rotate(ctx context.Context, store *eventlog.Store, name string) (s Subscriber, password string, err error) {
	s, rev, err := get(ctx, store.State, name)
	if err != nil {
		return s, "", err
	}
	if password, s.Hash, err = secret(); err != nil {
		return s, "", err
	}
	s.Rotated = time.Now().UTC()
	_, err = store.State.Swap(ctx, keyPrefix+name, s, rev)
	return s, password, err
}

// Remove ends a subscriber: its record, so that a running bridge closes its connections, and its position.
func Remove(ctx context.Context, store *eventlog.Store, name string) error {
	if _, err := Get(ctx, store.State, name); err != nil {
		return err
	}
	if err := store.State.Delete(ctx, keyPrefix+name); err != nil {
		return err
	}
	return dropPosition(ctx, store, name)
}

// secret makes a password of 130 random bits and its hash. The least cost of hashing will do for so many.
func secret() (password, hash string, err error) {
	password = rand.Text()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	return password, string(h), err
}
