//go:build !linux

package chaos

import "syscall"

func mortal() *syscall.SysProcAttr { return nil }
