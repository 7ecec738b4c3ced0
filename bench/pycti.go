package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/internal/testpeer"
)

// python is an interpreter with OpenCTI's client, or why there is none.
func (b *bench) python() (path, skipped string, err error) {
	skipped, err = b.host.lend(func() { path = testpeer.Python(&b.host, "pycti") })
	return path, skipped, err
}

// listening starts OpenCTI's own stream client with one of the callbacks of peer/listen.py.
func (b *bench) listening(python, mode, url string, n int, out io.Writer) (*child, error) {
	return b.spawn("pycti", out, []string{"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"}, python, "bench/peer/listen.py", mode, url, "token", fmt.Sprint(n), url+"/sink")
}

// counted waits for the callback that only counts and returns when it had everything.
func counted(c *child, r *os.File) (time.Time, error) {
	var said struct{ At int64 }
	if err := json.NewDecoder(r).Decode(&said); err != nil {
		return time.Time{}, fmt.Errorf("OpenCTI's client: %w\n%s", err, c.said())
	}
	return time.Unix(0, said.At), nil
}

// told asks the stand-in.
func told(url string) (r report, err error) {
	resp, err := http.Get(url + "/report")
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	return r, json.NewDecoder(resp.Body).Decode(&r)
}

// sunk waits until the stand-in's sink has n events, and returns its account.
func sunk(ctx context.Context, url string, n int, who *child) (r report, err error) {
	have, since := 0, time.Now()
	for {
		if r, err = told(url); err != nil {
			return r, err
		}
		switch now := time.Now(); {
		case r.Sink.Events >= n:
			return r, nil
		case r.Sink.Events > have:
			have, since = r.Sink.Events, now
		case now.Sub(since) > time.Minute:
			return r, fmt.Errorf("the target got %d events of %d and no more\n%s", have, n, strings.TrimSpace(who.said()))
		}
		if err := who.alive("the sender"); err != nil {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
