package bridge

import "errors"

// KeyError says which key of its section a constructor refuses, so that the configuration check can name line and column.
// The key is written as in the file, relative to the section: path, tls.ca, urls[1]. KeyError(key, nil) is nil. Errors of
// several keys go together with errors.Join.
func KeyError(key string, err error) error {
	if err == nil {
		return nil
	}
	return &keyError{key, err}
}

type keyError struct {
	key string
	err error
}

func (e *keyError) Error() string { return e.key + ": " + e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

// EachKey calls visit for every error that err is made of, with its key; key is empty for what does not name one.
func EachKey(err error, visit func(key string, err error)) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			EachKey(e, visit)
		}
		return
	}
	var k *keyError
	if errors.As(err, &k) {
		visit(k.key, k.err)
		return
	}
	visit("", err)
}
