package seal

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

func state(t *testing.T) *eventlog.State {
	t.Helper()
	b, err := broker.Open(t.Context(), broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", MaxStore: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	s, err := eventlog.Provision(t.Context(), b.Conn(), b.JS(), eventlog.Layout{Replicas: 1, MaxBytes: 1 << 30, MaxAge: time.Hour, MaxObjects: 10})
	if err != nil {
		t.Fatal(err)
	}
	return s.State
}

func TestWhatIsSealedIsReadByTheSameLogOnly(t *testing.T) {
	st := state(t)
	var all [8]*Seal
	var starts sync.WaitGroup
	for i := range all { // bridges that start at once
		starts.Go(func() {
			var err error
			if all[i], err = Load(context.Background(), st); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	const plain = `{"path":"/feeds/CANARY.json","done":12}`
	text := all[0].Seal([]byte(plain))
	if strings.ContainsAny(text, "\r\n ") || strings.Contains(text, "CANARY") || text == all[0].Seal([]byte(plain)) {
		t.Errorf("sealed: %q", text)
	}
	for i, s := range all {
		if got, err := s.Open(text); err != nil || string(got) != plain {
			t.Errorf("bridge %d opens %q, %v", i, got, err)
		}
	}
	for _, old := range []string{plain, `"s1"`, "17", ""} {
		if got, err := all[0].Open(old); err != nil || string(got) != old {
			t.Errorf("what was stored before there was a seal: %q, %v", got, err)
		}
	}
	other, err := newSeal(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{other.Seal([]byte(plain)), text[:len(text)-2], "s1.", "s1.%"} {
		if got, err := all[0].Open(bad); err == nil || !strings.Contains(err.Error(), "restore") {
			t.Errorf("%q opens as %q, %v", bad, got, err)
		}
	}
	if _, err := newSeal([]byte("short")); err == nil {
		t.Error("a damaged key is taken")
	}
}
