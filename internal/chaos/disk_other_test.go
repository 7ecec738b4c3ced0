//go:build !linux

package chaos

import (
	"errors"
	"testing"
)

func smallDisk(t *testing.T, _ string, _ int) string {
	t.Log("NOT TESTED: a full disk: small file systems are mounted on Linux only")
	return ""
}

func fill(string) (func() error, error) { return nil, errors.New("not here") }
