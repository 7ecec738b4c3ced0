// Package file is the sink that appends each event as a JSON line to a file. A batch is one write and one fsync; what a crash left unfinished is cut off when
// the file is opened, and the events come again, because their position had not moved.
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/stixbridge/stixbridge/bridge"
)

// Plugin is the kind file.
var Plugin = bridge.Define("file", "JSON lines appended to a file", Config{}, func(c Config) (bridge.Sink, error) {
	if c.Path == "" {
		return nil, bridge.KeyError("path", errors.New("name the file to append to"))
	}
	return &sink{path: c.Path}, nil
}).With(bridge.Traits{Ordered: true, Start: "all", Batch: bridge.Limits{Events: 2048, Bytes: 4 << 20}}).For(`kind: file
name: archive
path: ./events.jsonl
`)

// Config of a file sink.
type Config struct {
	Path string `json:"path" jsonschema:"description=File to append to; it is made when it does not exist\\, its directory is not. It may be renamed or removed under way (logrotate): the next batch opens a new one."`
}

type sink struct {
	path string

	mu       sync.Mutex
	file     *os.File
	info     os.FileInfo // of file
	regular  bool        // neither a pipe nor a device: can be repaired, cut and synced
	size     int64       // of what is known to be whole
	buf      []byte
	bytes    int64 // written by this instance
	repaired int64 // bytes cut off when opening
}

// Start opens the file, so that a wrong path shows at once.
func (s *sink) Start(context.Context, bridge.Env) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready()
}

// Deliver appends the batch and returns when it is on disk. When the write fails half way, the half is cut off again.
func (s *sink) Deliver(ctx context.Context, batch []bridge.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.ready(); err != nil {
		return err
	}
	s.buf = s.buf[:0]
	for _, e := range batch {
		s.buf = append(e.Line(s.buf), '\n')
	}
	_, err := s.file.Write(s.buf)
	if err == nil && s.regular {
		err = s.file.Sync()
	}
	if err != nil {
		if s.regular {
			_ = s.file.Truncate(s.size) // what cannot be cut off now is when the file is opened again
		}
		s.close()
		return fmt.Errorf("append to %s: %w", s.path, err)
	}
	s.size += int64(len(s.buf))
	s.bytes += int64(len(s.buf))
	if cap(s.buf) > 16<<20 {
		s.buf = nil // one huge event must not be paid for ever after
	}
	return nil
}

// ready opens the file, and again when the path no longer leads to the one that is open.
func (s *sink) ready() error {
	if s.file != nil && s.regular {
		at, err := os.Stat(s.path)
		if err != nil || !os.SameFile(at, s.info) {
			s.close()
		} else if at.Size() != s.size { // copied and truncated by a rotation, or someone else writes to it
			s.close()
		}
	}
	if s.file != nil {
		return nil
	}
	return s.open()
}

func (s *sink) open() error {
	_, err := os.Stat(s.path)
	fresh := errors.Is(err, fs.ErrNotExist)
	// 0640: events may be marked; a log shipper of the same group may read them.
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return s.explain(err)
	}
	s.file = f
	if err := s.adopt(fresh); err != nil {
		s.close()
		return err
	}
	return nil
}

// adopt takes possession of the file just opened and mends its end.
func (s *sink) adopt(fresh bool) error {
	st, err := s.file.Stat()
	if err != nil {
		return err
	}
	s.info, s.regular, s.size = st, st.Mode().IsRegular(), st.Size()
	if !s.regular {
		return nil
	}
	if err := lock(s.file); err != nil {
		return fmt.Errorf("%s is being written by another process or consumer: give each its own path (%w)", s.path, err)
	}
	whole, err := end(s.file, s.size)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	if whole != s.size {
		if err := s.file.Truncate(whole); err != nil {
			return fmt.Errorf("cut the torn line off %s: %w", s.path, err)
		}
		s.repaired += s.size - whole
		s.size = whole
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.path, err)
	}
	if fresh {
		return syncDir(filepath.Dir(s.path))
	}
	return nil
}

func (s *sink) close() {
	if s.file != nil {
		_ = s.file.Close() // everything that counts was synced
		s.file = nil
	}
}

// Close closes the file; what was delivered is on disk already.
func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close()
	return nil
}

// Probe asks whether the file could be opened, without making it.
func (s *sink) Probe(context.Context) error {
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_APPEND, 0)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return s.explain(err)
	}
	dir := filepath.Dir(s.path)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return fmt.Errorf("%s: the directory %s does not exist: make it", s.path, dir)
	}
	return nil
}

// Report shows in status what was written.
func (s *sink) Report() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[string]any{"path": s.path, "written_bytes": s.bytes}
	if s.repaired > 0 {
		m["repaired_bytes"] = s.repaired
	}
	return m
}

// explain adds the remedy to what the system says.
func (s *sink) explain(err error) error {
	dir := filepath.Dir(s.path)
	st, derr := os.Stat(dir)
	switch {
	case errors.Is(derr, fs.ErrNotExist):
		return fmt.Errorf("%s: the directory %s does not exist: make it", s.path, dir)
	case derr == nil && !st.IsDir():
		return fmt.Errorf("%s: %s is not a directory", s.path, dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: no permission to write: let the user that runs the bridge own the file and its directory", s.path)
	}
	if at, aerr := os.Stat(s.path); aerr == nil && at.IsDir() {
		return fmt.Errorf("%s is a directory: name a file in it", s.path)
	}
	return err
}

// syncDir makes a new name in the directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
