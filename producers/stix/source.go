package stix

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/httpx"
)

// document is one version of the source, whole and on disk, so that it can be read twice and again after a crash.
type document struct {
	name       string // as the user knows it
	file       *os.File
	size       int64
	modified   time.Time
	digest     string // when it is known before the first look
	validators httpx.Validators
	spool      string // the file is ours: a copy of what a URL or pipe gave
	temporary  string // directory that goes with it
	discard    bool   // the spool has served
}

func (d *document) close() {
	_ = d.file.Close()
	if d.spool != "" && d.discard {
		_ = os.Remove(d.spool)
	}
	if d.temporary != "" {
		_ = os.RemoveAll(d.temporary)
	}
}

// rewind goes back to the beginning.
func (d *document) rewind() error {
	_, err := d.file.Seek(0, io.SeekStart)
	return err
}

// steady reports whether the file is still what the first look saw.
func (d *document) steady() error {
	if d.spool != "" {
		return nil
	}
	st, err := d.file.Stat()
	if err != nil {
		return err
	}
	if st.Size() != d.size || !st.ModTime().Equal(d.modified) {
		return fmt.Errorf("%s was changed while it was read: write a new file and rename it over the old one; it is read again", d.name)
	}
	return nil
}

// open returns the source's present version; nil when it is the one that the cursor has done with.
func (p *producer) open(ctx context.Context, run *bridge.Run, cur cursor) (*document, error) {
	if p.remote {
		return p.download(ctx, run, cur)
	}
	if p.where == "-" {
		return p.spool(ctx, run, os.Stdin, -1, httpx.Validators{})
	}
	f, err := os.Open(p.where)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	switch {
	case err != nil:
		_ = f.Close()
		return nil, err
	case st.IsDir():
		_ = f.Close()
		return nil, fmt.Errorf("%s is a directory: name a file in it", p.where)
	case !st.Mode().IsRegular(): // a pipe can be read once only
		defer f.Close()
		return p.spool(ctx, run, f, -1, httpx.Validators{})
	}
	d := &document{name: p.name, file: f, size: st.Size(), modified: st.ModTime()}
	if cur.Done && cur.Size == d.size { // probably the same: the digest is cheaper than a look
		if d.digest, err = digest(ctx, f); err == nil {
			err = d.rewind()
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return d, nil
}

const spoolName = "download"

// download fetches the URL into the run's directory. A copy that a crash left half read serves again if it is still current.
func (p *producer) download(ctx context.Context, run *bridge.Run, cur cursor) (*document, error) {
	client := p.client
	if client == nil {
		client = run.HTTP
	}
	known := cur.Validators
	var left *document
	if !cur.finished(p.Snapshot) {
		if left = p.leftover(ctx, run, cur); left == nil {
			known = httpx.Validators{} // whatever the cursor names, we no longer have it
		}
	}
	r, err := httpx.Fetch(ctx, client, p.where, known, p.headers())
	if err != nil {
		if left != nil {
			left.close()
		}
		return nil, judge(err)
	}
	if r.NotModified {
		if left == nil {
			run.Log.Debug("not modified", "source", p.name)
			return nil, nil
		}
		left.validators = known
		return left, nil
	}
	defer r.Body.Close()
	if left != nil {
		left.close()
	}
	return p.spool(ctx, run, r.Body, r.Length, r.Validators)
}

// leftover is the copy of the version that the cursor is in, if there is one and it is whole.
func (p *producer) leftover(ctx context.Context, run *bridge.Run, cur cursor) *document {
	if run.Dir == "" || cur.Digest == "" || cur.Validators.IsZero() {
		return nil
	}
	path := filepath.Join(run.Dir, spoolName)
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	d := &document{name: p.name, file: f, spool: path, size: cur.Size}
	if d.digest, err = digest(ctx, f); err != nil || d.digest != cur.Digest || d.rewind() != nil {
		_ = f.Close()
		return nil
	}
	return d
}

// spool copies r to disk; total is its length, negative when unknown. Only a whole copy gets the final name.
func (p *producer) spool(ctx context.Context, run *bridge.Run, r io.Reader, total int64, v httpx.Validators) (_ *document, err error) {
	d := &document{name: p.name, validators: v}
	dir := run.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "stixbridge-"); err != nil {
			return nil, err
		}
		d.temporary = dir
	} else if err = os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d.spool = filepath.Join(dir, spoolName)
	part := d.spool + ".part"
	if d.file, err = os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part)
			d.close()
			err = fmt.Errorf("%s: %w", p.name, err)
		}
	}()
	sum := sha256.New()
	d.size, err = io.Copy(io.MultiWriter(d.file, sum, &gauge{run: run, total: max(total, 0)}), &mortal{ctx, r})
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the download broke off after %d bytes: %w", d.size, err)
	}
	if err == nil {
		err = d.rewind()
	}
	if err == nil {
		err = os.Rename(part, d.spool)
	}
	if err != nil {
		return nil, err
	}
	d.digest = hex.EncodeToString(sum.Sum(nil))
	return d, nil
}

// gauge shows how far a copy is, once for each MiB.
type gauge struct {
	run         *bridge.Run
	done, total int64
}

func (g *gauge) Write(b []byte) (int, error) {
	before := g.done >> 20
	g.done += int64(len(b))
	if g.done>>20 != before {
		g.run.Progress(g.done, g.total, "bytes")
	}
	return len(b), nil
}

// mortal is a reader that ends with its context.
type mortal struct {
	ctx context.Context
	r   io.Reader
}

func (m *mortal) Read(b []byte) (int, error) {
	if m.ctx.Err() != nil {
		return 0, context.Cause(m.ctx)
	}
	return m.r.Read(b)
}

func digest(ctx context.Context, r io.Reader) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, &mortal{ctx, r}); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
