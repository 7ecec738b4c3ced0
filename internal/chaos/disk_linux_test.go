package chaos

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of its own on a directory and returns it; empty, and said loudly, where that is not allowed.
func smallDisk(t *testing.T, dir string, size int) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("stixbridge-chaos", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)); err != nil {
		t.Logf("NOT TESTED: a full disk: a small file system cannot be mounted (%v); run as root", err)
		return ""
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill takes all of a disk but a few bytes and returns what gives it back.
func fill(disk string) (empty func() error, err error) {
	path := filepath.Join(disk, "ballast")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for block := 1 << 20; block > 0; block /= 2 { // down to the last byte
		b := make([]byte, block)
		for err = nil; err == nil; {
			_, err = f.Write(b)
		}
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, io.ErrShortWrite) {
			return nil, err
		}
	}
	return func() error { return os.Remove(path) }, nil
}
