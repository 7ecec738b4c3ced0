package main

import (
	"os"
	"syscall"
)

// mortal lets a child end with this process, however that ends.
func mortal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// datasync brings what was written to a file to the disk.
func datasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
