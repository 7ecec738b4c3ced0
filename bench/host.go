package main

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// host lends the tests' peers (RabbitMQ, a platform) to this program: they expect a test that they may fail, skip and outlive.
type host struct {
	testing.TB // nil: what is not below is not for us
	cleanups   []func()
	failed     error
}

// departure is how a peer leaves.
type departure struct {
	skip bool
	text string
}

// lend calls f and returns why it skipped, or how it failed.
func (h *host) lend(f func()) (skipped string, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case departure:
			if r.skip {
				skipped = r.text
			} else {
				err = fmt.Errorf("%s", r.text)
			}
		default:
			panic(r)
		}
	}()
	f()
	return "", h.failed
}

func (h *host) close() {
	for i := len(h.cleanups) - 1; i >= 0; i-- {
		h.cleanups[i]()
	}
	h.cleanups = nil
}

func (h *host) Helper()                   {}
func (h *host) Name() string              { return "bench" }
func (h *host) Context() context.Context  { return context.Background() }
func (h *host) Cleanup(f func())          { h.cleanups = append(h.cleanups, f) }
func (h *host) Log(args ...any)           {}
func (h *host) Logf(string, ...any)       {}
func (h *host) Error(args ...any)         { h.failed = fmt.Errorf("%s", fmt.Sprint(args...)) }
func (h *host) Errorf(f string, v ...any) { h.failed = fmt.Errorf(f, v...) }
func (h *host) Fatal(args ...any)         { panic(departure{false, fmt.Sprint(args...)}) }
func (h *host) Fatalf(f string, v ...any) { panic(departure{false, fmt.Sprintf(f, v...)}) }
func (h *host) Skip(args ...any)          { panic(departure{true, fmt.Sprint(args...)}) }
func (h *host) Skipf(f string, v ...any)  { panic(departure{true, fmt.Sprintf(f, v...)}) }

// TempDir makes a directory that goes with the program.
func (h *host) TempDir() string {
	dir, err := os.MkdirTemp("", "stixbridge-bench-peer-")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
