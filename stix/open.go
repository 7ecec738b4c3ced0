package stix

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Limit bounds what [Open] decompresses.
type Limit struct {
	Bytes int64 // decompressed bytes in all
	Ratio int64 // decompressed bytes per compressed byte, once Grace bytes came out
	Grace int64
}

// DefaultLimit lets real feeds pass (JSON shrinks at most about fortyfold) and stops
// decompression bombs.
var DefaultLimit = Limit{Bytes: 16 << 30, Ratio: 300, Grace: 64 << 20}

// ErrBomb is compressed input that grows beyond the limit.
var ErrBomb = errors.New("decompressed input is larger than allowed")

// zstdWindow is the memory that a zstd stream may claim, enough for its --long mode.
const zstdWindow = 128 << 20

// Open returns r's content, decompressed when its first bytes say gzip or zstd, with
// [DefaultLimit]. Close does not close r.
func Open(r io.Reader) (io.ReadCloser, error) { return DefaultLimit.Open(r) }

// Open is [Open] with this limit.
func (l Limit) Open(r io.Reader) (io.ReadCloser, error) {
	in := &counter{r: r}
	buffered := bufio.NewReaderSize(in, 64<<10)
	magic, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := kgzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", gzipError(err))
		}
		return &bounded{Limit: l, r: z, in: in, close: z.Close, kind: "gzip"}, nil
	case len(magic) == 4 && (string(magic) == "\x28\xb5\x2f\xfd" || magic[0]&0xf0 == 0x50 && string(magic[1:]) == "\x2a\x4d\x18"):
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(zstdWindow*2))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return &bounded{Limit: l, r: z, in: in, close: func() error { z.Close(); return nil }, kind: "zstd"}, nil
	}
	return io.NopCloser(buffered), nil
}

// gzipError makes the library's errors those of the standard library.
func gzipError(err error) error {
	switch err {
	case kgzip.ErrChecksum:
		return gzip.ErrChecksum
	case kgzip.ErrHeader:
		return gzip.ErrHeader
	}
	return err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded stops reading at the limit.
type bounded struct {
	Limit
	r     io.Reader
	in    *counter
	n     int64
	close func() error
	kind  string
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	switch {
	case b.Bytes > 0 && b.n > b.Bytes:
		return 0, fmt.Errorf("%s: %w: over %d bytes", b.kind, ErrBomb, b.Bytes)
	case b.Ratio > 0 && b.n > b.Grace && b.n/max(b.in.n, 1) > b.Ratio:
		return 0, fmt.Errorf("%s: %w: over %d times its compressed size", b.kind, ErrBomb, b.Ratio)
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", b.kind, gzipError(err))
	}
	return n, err
}

func (b *bounded) Close() error { return b.close() }
