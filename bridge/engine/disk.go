package engine

import "syscall"

// diskLow is how little room on the disk of an embedded event log is a problem: the server needs some to start, too.
const diskLow = 32 << 20

// diskFree is how many bytes the disk of the embedded event log has left; -1 when that is not ours to know.
func (e *Engine) diskFree() int64 {
	var fs syscall.Statfs_t
	if !e.b.Embedded() || syscall.Statfs(e.cfg.Config.NATS.Dir, &fs) != nil {
		return -1
	}
	return int64(fs.Bavail) * int64(fs.Bsize)
}
