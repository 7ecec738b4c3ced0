//go:build !linux

package e2e

import "syscall"

func mortal() *syscall.SysProcAttr { return nil }
