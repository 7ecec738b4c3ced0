package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const movedTo = "moved to "

// Moved tells where the store of a directory was moved to, and by which move; empty when it is still here.
func Moved(dir string) (to, move string, err error) {
	b, err := os.ReadFile(filepath.Join(dir, modeFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", "", nil
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(string(b)), movedTo)
	if err != nil || !ok {
		return "", "", err
	}
	f := strings.Fields(rest)
	if len(f) < 2 {
		return rest, "", nil
	}
	return f[0], f[len(f)-1], nil
}

// MarkMoved writes into a directory that its store was moved: it is refused from then on.
func MarkMoved(dir, to, move string) error {
	return writeFile(filepath.Join(dir, modeFile), fmt.Appendf(nil, "%s%s on %s by %s\n", movedTo, to, time.Now().UTC().Format(time.RFC3339), move))
}

// Lock takes a directory for one process that is not a server, under a name; the kernel gives it free when the process ends.
func Lock(dir, name string) (func(), error) { return lockFile(dir, filepath.Join(dir, name)) }
