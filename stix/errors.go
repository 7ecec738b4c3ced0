package stix

import (
	"errors"
	"fmt"
)

// What is wrong with one object. The errors of [Parse] and of [Element] wrap one of these
// or are a *[SyntaxError].
var (
	ErrNotObject = errors.New("not a JSON object")
	ErrObjectID  = errors.New("no usable id")
	ErrNoType    = errors.New("no type")
	ErrType      = errors.New("unusable type: want 1 to 250 characters of a-z, 0-9 and hyphen")
	ErrUTF8      = errors.New("invalid UTF-8")
	ErrTooDeep   = fmt.Errorf("nested deeper than %d levels", MaxDepth)
	ErrTooLarge  = errors.New("too large")
)

// SyntaxError is input that is not JSON, or that ends too early. Behind it nothing can be
// read with certainty.
type SyntaxError struct {
	Offset int64 // in bytes, from the start of the (decompressed) input
	Index  int   // the element in which it happened, from 0; -1 outside any
	Msg    string
	err    error // of the reader below, if it was that which failed
}

func (e *SyntaxError) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("byte %d: %s", e.Offset, e.Msg)
	}
	return fmt.Sprintf("byte %d, element %d: %s", e.Offset, e.Index, e.Msg)
}

func (e *SyntaxError) Unwrap() error { return e.err }
