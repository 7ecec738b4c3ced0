// Package e2e holds the tests of what the bridge promises: the real binary as a process, a real store, real files, and an HTTP target
// that misbehaves on purpose. It has no code of its own.
//
// Three kills a cell are the default; SOAK=N makes them N and the long faults as long as the issue says.
package e2e
