package bridgetest

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

var discard = slog.New(slog.DiscardHandler)

// Vault is what a plugin keeps across restarts (Env.Load and Env.Store), in memory.
type Vault struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (v *Vault) load(_ context.Context, key string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.m[key]), nil
}

func (v *Vault) store(_ context.Context, key string, value []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.m == nil {
		v.m = map[string][]byte{}
	}
	v.m[key] = slices.Clone(value)
	return nil
}

// Env lends a plugin what the runtime does, in memory.
func (v *Vault) Env(name, dir string, client *http.Client) bridge.Env {
	return bridge.Env{
		Name: name, HTTP: client, Dir: dir, Log: discard, Load: v.load, Store: v.store,
		DeadLetter: func(context.Context, bridge.Event, string) error { return nil },
		Lookup:     func(context.Context, string, string) (stix.Object, bool, error) { return stix.Object{}, false, nil },
		Current:    func(context.Context, string, string) (bridge.Event, bool, error) { return bridge.Event{}, false, nil },
		Settle:     func(context.Context) error { return nil },
	}
}

func closeIf(t testing.TB, v any) {
	t.Helper()
	if c, ok := v.(interface{ Close() error }); ok {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}
