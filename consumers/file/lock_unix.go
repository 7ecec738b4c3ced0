//go:build unix

package file

import (
	"os"
	"syscall"
)

// lock keeps a second writer off the file; it goes with the descriptor, and so with the process.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
