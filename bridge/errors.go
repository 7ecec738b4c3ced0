package bridge

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
)

// A plugin says with the kind of its error what the runtime is to do:
//
//	plain error      try again, in place, with backoff, for as long as it takes
//	Permanent(err)   this event cannot be delivered: dead letter
//	RetryAfter(…)    try again, not before the wait is over
//	Paused(err)      the target refuses us (401, 403): stop, say so, probe, resume by itself
//	*BatchError      some events of the batch, each with an error of one of these kinds

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks an error that no retry can mend; the event becomes a dead letter. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent reports whether err or what it wraps was marked by Permanent.
func IsPermanent(err error) bool { return errors.As(err, new(permanentError)) }

type retryAfterError struct {
	error
	wait time.Duration
}

func (e retryAfterError) Unwrap() error { return e.error }

// RetryAfter marks an error after which the target asked to be left alone for a while.
func RetryAfter(err error, wait time.Duration) error {
	if err == nil {
		return nil
	}
	return retryAfterError{err, wait}
}

// Wait returns the time a RetryAfter error asks for.
func Wait(err error) (time.Duration, bool) {
	var r retryAfterError
	if errors.As(err, &r) {
		return r.wait, true
	}
	return 0, false
}

type pausedError struct{ error }

func (e pausedError) Unwrap() error { return e.error }

// Paused marks an error that says the target does not accept us (authentication, permission). It never costs an event.
func Paused(err error) error {
	if err == nil {
		return nil
	}
	return pausedError{err}
}

// IsPaused reports whether err or what it wraps was marked by Paused.
func IsPaused(err error) bool { return errors.As(err, new(pausedError)) }

// BatchError says which events of a batch failed; the others arrived.
type BatchError struct{ Failed map[int]error }

// Fail records that the event at index i of the batch failed.
func (b *BatchError) Fail(i int, err error) {
	if b.Failed == nil {
		b.Failed = map[int]error{}
	}
	b.Failed[i] = err
}

// Err returns b when an event failed, else nil.
func (b *BatchError) Err() error {
	if len(b.Failed) == 0 {
		return nil
	}
	return b
}

func (b *BatchError) Error() string {
	at := make([]int, 0, len(b.Failed))
	for i := range b.Failed {
		at = append(at, i)
	}
	sort.Ints(at)
	var s strings.Builder
	fmt.Fprintf(&s, "%d events failed", len(at))
	if len(at) > 0 {
		fmt.Fprintf(&s, "; the first: %v", b.Failed[at[0]])
	}
	return s.String()
}
