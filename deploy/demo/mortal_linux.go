package main

import "syscall"

// mortal makes a process end with the demo, however that ends, and keeps Ctrl-C for the demo, which ends it in good order.
func mortal() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
