//go:build !linux

package main

import (
	"os"
	"syscall"
)

func mortal() *syscall.SysProcAttr { return nil }

// datasync brings what was written to a file to the disk.
func datasync(f *os.File) error { return f.Sync() }
