//go:build !unix

package file

import "os"

func lock(*os.File) error { return nil }
