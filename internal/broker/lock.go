package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrInUse says that another process has the directory's store open.
var ErrInUse = errors.New("in use")

// lock takes the directory for this process; the kernel gives it free when the process ends, however it ends.
func lock(dir string) (func(), error) { return lockFile(dir, filepath.Join(dir, "LOCK")) }

func lockFile(dir, path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(path)
		f.Close()
		return nil, fmt.Errorf("%s is %w by process %s", dir, ErrInUse, strings.TrimSpace(string(owner)))
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func writeAt(f *os.File, s string) error { _, err := f.WriteAt([]byte(s), 0); return err }
