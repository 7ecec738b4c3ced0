package migrate

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// manifestFile describes a backup; it is written last.
const manifestFile = "backup.json"

// format of a backup; a reader refuses newer ones.
const format = 1

// Manifest describes a backup.
type Manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of the program that made it
	Time    time.Time `json:"time"`    // when it began: what was accepted before is in it
	Streams []Saved   `json:"streams"`
}

// Saved is one stream of a backup.
type Saved struct {
	Name     string                 `json:"name"`
	File     string                 `json:"file"`
	SHA256   string                 `json:"sha256"`
	Bytes    int64                  `json:"bytes"` // of the file
	Messages uint64                 `json:"messages"`
	FirstSeq uint64                 `json:"first_seq"`
	LastSeq  uint64                 `json:"last_seq"`
	Config   jetstream.StreamConfig `json:"config"`
}

// Connect opens the store of options for looking only: through the bridge that has it open, or by itself.
func Connect(ctx context.Context, o broker.Options) (*broker.Broker, error) {
	if o.URL != "" || o.Context != "" {
		return broker.Open(ctx, o)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, "jetstream")); err != nil {
		return nil, fmt.Errorf("there is no event log in %s: %w", o.Dir, err)
	}
	for begun := time.Now(); ; {
		b, err := broker.Open(ctx, alone(o.Dir, o.Log))
		if errors.Is(err, broker.ErrInUse) {
			b, err = broker.Open(ctx, through(o.Dir, o.Log))
		} else if err != nil {
			return nil, err
		}
		if err == nil || time.Since(begun) > 10*time.Second { // one that is just starting serves in a moment
			return b, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func alone(dir string, log *slog.Logger) broker.Options {
	return broker.Options{Dir: dir, Listen: "127.0.0.1:0", MaxStore: math.MaxInt64 / 4, Log: log}
}

func through(dir string, log *slog.Logger) broker.Options {
	return broker.Options{Dir: dir, Context: broker.ContextFile(dir), Log: log}
}

// Backup writes everything that belongs to an event log into a new directory, while a bridge may work on it. Positions and cursors come first
// and the log after them, so that none of them points past its end; then the payloads that the log refers to.
func Backup(ctx context.Context, b *broker.Broker, dir, version string, say func(string)) (m Manifest, err error) {
	if have, err := os.ReadDir(dir); err == nil && len(have) > 0 {
		return m, fmt.Errorf("%s is not empty; name a new directory", dir)
	}
	if _, err := eventlog.Open(ctx, b.Conn(), b.JS()); err != nil {
		return m, err
	}
	partial := filepath.Clean(dir) + ".partial"
	if err := errors.Join(os.RemoveAll(partial), os.MkdirAll(partial, 0o700)); err != nil {
		return m, err
	}
	defer os.RemoveAll(partial)
	m = Manifest{Format: format, Version: version, Time: time.Now().UTC()}
	for _, pick := range []func(string) bool{is("KV_" + eventlog.BucketState), is(eventlog.StreamLatest), is(eventlog.StreamLetters), is(eventlog.StreamEvents), isBlobs} {
		names, err := assets(ctx, b.JS()) // a bucket of payloads may have been made meanwhile
		if err != nil {
			return m, err
		}
		for _, name := range names {
			if !pick(name) {
				continue
			}
			s, err := save(ctx, b, name, partial)
			if err != nil {
				return m, err
			}
			say(fmt.Sprintf("%-28s %d messages, last %d", name, s.Messages, s.LastSeq))
			m.Streams = append(m.Streams, s)
		}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	if err := writeSynced(filepath.Join(partial, manifestFile), func(w io.Writer) error { _, err := w.Write(append(text, '\n')); return err }); err != nil {
		return m, err
	}
	_ = os.Remove(dir) // an empty one
	return m, errors.Join(os.Rename(partial, dir), syncDir(filepath.Dir(filepath.Clean(dir))))
}

func is(name string) func(string) bool { return func(s string) bool { return s == name } }
func isBlobs(name string) bool         { return strings.HasPrefix(name, blobs) }

// save writes one stream into a file of a directory.
func save(ctx context.Context, b *broker.Broker, name, dir string) (s Saved, err error) {
	st, err := b.JS().Stream(ctx, name)
	if err != nil {
		return s, fmt.Errorf("stream %s: %w", name, err)
	}
	c := st.CachedInfo().Config
	if by := c.Metadata[eventlog.MetaIncomplete]; by != "" {
		return s, fmt.Errorf("stream %s is incomplete: %s has not finished", name, by)
	}
	s = Saved{Name: name, File: name + ".s2", Config: c}
	sum := sha256.New()
	err = writeSynced(filepath.Join(dir, s.File), func(w io.Writer) error {
		n := &counted{w: w, sum: sum}
		var state jetstream.StreamState
		state, s.Messages, s.LastSeq, err = Archive(ctx, b.Conn(), st, 0, n, nil)
		s.FirstSeq, s.Bytes = state.FirstSeq, n.n
		return err
	})
	s.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return s, err
}

type counted struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	return n, err
}

// writeSynced makes a file for its owner only and returns when it is on the disk.
func writeSynced(path string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	return errors.Join(fill(w), w.Flush(), f.Sync(), f.Close(), syncDir(filepath.Dir(path)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadManifest reads and checks a backup: its description, and that each file is what was written.
func ReadManifest(dir string) (m Manifest, err error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, os.ErrNotExist) {
		return m, fmt.Errorf("%s is no backup: there is no %s in it", dir, manifestFile)
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%s: %w", filepath.Join(dir, manifestFile), err)
	}
	if m.Format != format {
		return m, fmt.Errorf("%s has format %d, this program reads %d; use the stixbridge that made it (%s)", dir, m.Format, format, m.Version)
	}
	if !slices.ContainsFunc(m.Streams, func(s Saved) bool { return s.Name == eventlog.StreamEvents }) {
		return m, fmt.Errorf("%s holds no event log", dir)
	}
	for _, s := range m.Streams {
		if !belongs(s.Name) || s.File != s.Name+".s2" {
			return m, fmt.Errorf("%s names a stream %q that is not ours", dir, s.Name)
		}
		f, err := os.Open(filepath.Join(dir, s.File))
		if err != nil {
			return m, err
		}
		sum := sha256.New()
		n, err := io.Copy(sum, f)
		_ = f.Close()
		if err != nil {
			return m, err
		}
		if n != s.Bytes || hex.EncodeToString(sum.Sum(nil)) != s.SHA256 {
			return m, fmt.Errorf("%s is damaged: it is not what was written; use another backup", filepath.Join(dir, s.File))
		}
	}
	return m, nil
}
