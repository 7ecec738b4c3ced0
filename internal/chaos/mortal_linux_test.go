package chaos

import "syscall"

// mortal makes a process end with the test process, however that ends.
func mortal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
