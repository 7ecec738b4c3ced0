package amqp

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strconv"

	"github.com/rabbitmq/amqp091-go"
)

// ErrClosed says that the publisher was closed.
var ErrClosed = errors.New("publisher is closed")

// UnroutableError says that the broker took a message and had no queue for it: the binding is gone. Waiting does not help;
// whoever set up the queue has to do it again.
type UnroutableError struct{ Exchange, Key string }

func (e *UnroutableError) Error() string {
	return fmt.Sprintf("no queue is bound to exchange %s with key %s: the broker returned the message", e.Exchange, e.Key)
}

// MissingError says that the exchange or queue does not exist.
type MissingError struct{ Detail string }

func (e *MissingError) Error() string { return "not set up at the broker: " + e.Detail }

// RefusedError says that the broker does not accept the credentials, or not for this virtual host or exchange.
type RefusedError struct{ Detail string }

func (e *RefusedError) Error() string { return "broker refuses: " + e.Detail }

// BlockedError says that the broker takes no messages at present.
type BlockedError struct{ Reason string }

func (e *BlockedError) Error() string { return "broker blocks publishers: " + e.Reason }

// TooLargeError says that a message is over the broker's limit.
type TooLargeError struct{ Size, Limit int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("message of %d bytes is over the broker's limit of %d", e.Size, e.Limit)
}

var sizes = regexp.MustCompile(`message size (\d+).*max size (\d+)`)

// ErrNacked says that the broker answered a message with a no.
var ErrNacked = errors.New("broker did not accept the message")

// Failed says which messages of a Publish the broker is not known to have, by their index.
type Failed struct{ Errors map[int]error }

func (f *Failed) Error() string {
	at := make([]int, 0, len(f.Errors))
	for i := range f.Errors {
		at = append(at, i)
	}
	sort.Ints(at)
	return fmt.Sprintf("%d messages not published; the first: %v", len(at), f.Errors[at[0]])
}

// Unwrap gives every different cause once.
func (f *Failed) Unwrap() []error {
	seen := map[string]bool{}
	var out []error
	for _, err := range f.Errors {
		if text := err.Error(); !seen[text] {
			seen[text] = true
			out = append(out, err)
		}
	}
	return out
}

func (f *Failed) rest(todo []int, err error) error {
	for _, i := range todo {
		f.Errors[i] = err
	}
	return f.orNil()
}

func (f *Failed) orNil() error {
	if len(f.Errors) == 0 {
		return nil
	}
	return f
}

// final reports whether trying again at once is of no use.
func final(err error) bool {
	var (
		missing *MissingError
		refused *RefusedError
		blocked *BlockedError
	)
	return errors.Is(err, ErrClosed) || errors.As(err, &missing) || errors.As(err, &refused) || errors.As(err, &blocked)
}

// classify gives what the library says a type of ours.
func classify(err error) error {
	var e *amqp091.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, amqp091.ErrCredentials), errors.Is(err, amqp091.ErrVhost), errors.Is(err, amqp091.ErrSASL):
		return &RefusedError{Detail: err.Error()}
	case !errors.As(err, &e):
		return fmt.Errorf("broker connection: %w", err)
	}
	switch {
	case e.Code == amqp091.NotFound:
		return &MissingError{Detail: e.Reason}
	case e.Code == amqp091.AccessRefused, e.Code == amqp091.NotAllowed:
		return &RefusedError{Detail: e.Reason}
	case e.Code == amqp091.PreconditionFailed:
		if m := sizes.FindStringSubmatch(e.Reason); m != nil {
			size, _ := strconv.Atoi(m[1])
			limit, _ := strconv.Atoi(m[2])
			return &TooLargeError{Size: size, Limit: limit}
		}
	}
	return fmt.Errorf("broker connection: %s (%d)", e.Reason, e.Code)
}
