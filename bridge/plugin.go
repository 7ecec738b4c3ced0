package bridge

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/stixbridge/stixbridge/stix"
)

// Producer turns one external source into change events. A polled source returns when it is drained; a live source
// returns only with an error or when ctx ends. Produce is never called concurrently with itself.
type Producer interface {
	Produce(ctx context.Context, run *Run) error
}

// Sink delivers a batch to one target; nil means that every event arrived. Events of a batch are in log order and
// hold each object at most once. Deliver is called concurrently only when the consumer's concurrency is above 1,
// and never for two versions of one object at a time.
type Sink interface {
	Deliver(ctx context.Context, batch []Event) error
}

// Each makes a Sink from a function for one event; it stops at the first plain error.
type Each func(ctx context.Context, e Event) error

// Deliver calls the function for each event.
func (f Each) Deliver(ctx context.Context, batch []Event) error {
	var failed BatchError
	for i, e := range batch {
		err := f(ctx, e)
		if err == nil {
			continue
		}
		failed.Fail(i, err)
		if !IsPermanent(err) {
			for j := i + 1; j < len(batch); j++ {
				failed.Fail(j, err)
			}
			break
		}
	}
	return failed.Err()
}

// Enricher answers an event with more knowledge. The runtime publishes the answer under the enricher's own name,
// keeps it from meeting itself again, and gives it the TLP of what it was made from.
type Enricher interface {
	Enrich(ctx context.Context, e Event) ([]stix.Object, error)
}

// Prober is what a plugin adds when it can say whether its source or target is reachable and accepts us, without
// changing anything there (check --online, and the probe of a paused consumer).
type Prober interface {
	Probe(ctx context.Context) error
}

// Starter is what a consumer adds when it has to connect or register before its first batch. Start is called once before
// the first Deliver and again after each failure; env is what the runtime lends for the life of the consumer.
type Starter interface {
	Start(ctx context.Context, env Env) error
}

// Reporter is what a plugin adds when it has figures of its own to show in status (queued, imported, refused types…).
type Reporter interface {
	Report() map[string]any
}

// Env is what the runtime lends to a consumer or producer for its life.
type Env struct {
	Name string // the configured name
	HTTP *http.Client
	Dir  string // a directory of its own for files that may be lost
	// Load and Store keep a small value of the plugin across restarts, in the state bucket (at most 1 MiB).
	Load  func(ctx context.Context, key string) ([]byte, error) // nil when there is none
	Store func(ctx context.Context, key string, value []byte) error
	// DeadLetter stores an event that a target reported as failed after it had accepted it.
	DeadLetter func(ctx context.Context, e Event, reason string) error
	// Lookup returns what a producer last asserted about an id; the zero producer means the preferred one. It obeys the
	// consumer's own ceiling.
	Lookup func(ctx context.Context, id, producer string) (stix.Object, bool, error)
	// Current returns the version of an object that the target is to hold by now, as the event that said so: its Seq tells versions
	// apart. Of the producers whose versions pass all gates the preferred one decides, then the newest; where none passes, the
	// producer named, then the newest within the ceiling. An event that retracts says that nobody asserts the object any more, or
	// nobody within the ceiling (its object may be a stub then); false, that nobody ever did.
	Current func(ctx context.Context, id, producer string) (Event, bool, error)
	// Settle waits until Lookup and Current include every event that this consumer has read so far.
	Settle func(ctx context.Context) error
	Log    *slog.Logger
}

// Limits bound one batch. Zero values mean the runtime's defaults (256 events, 4 MiB).
type Limits struct {
	Events int
	Bytes  int
}

// Traits tell the runtime what kind of target or source a plugin is.
type Traits struct {
	Leaves  bool   // the target is outside the house: max_tlp defaults to green and producers must be named
	State   bool   // the target mirrors state: start defaults to latest, deletes remove, several producers are reconciled
	Ordered bool   // the target is one ordered medium (a file): one writer, log order, concurrency 1
	Start   string // default of start: new, latest or all
	Batch   Limits // default batch
	// Concurrency is the default of concurrency, for a target that takes several deliveries at once better than one. 0 means 1.
	Concurrency int
	Live        bool // producer: never drains; run --once skips it
	Push        bool // producer: is pushed to; run --once skips it
}

// Plugin is one kind of producer, sink or enricher.
type Plugin[T any] struct {
	Kind    string
	Summary string
	Traits  Traits
	Example string // YAML of a minimal, working section, for the reference page

	defaults func() any
	build    func(any) (T, error)
}

// Define binds a kind to its configuration struct with its defaults, and a constructor. The struct's JSON and
// jsonschema tags are the manual: schema, reference page, environment names and validation derive from them.
// The constructor must not touch the network.
func Define[T, C any](kind, summary string, defaults C, construct func(C) (T, error)) Plugin[T] {
	text, err := json.Marshal(defaults) // a copy through text, so that no two sections share a slice or map of the defaults
	if err != nil {
		panic("defaults of " + kind + ": " + err.Error())
	}
	return Plugin[T]{
		Kind: kind, Summary: summary,
		defaults: func() any { c := new(C); _ = json.Unmarshal(text, c); return c },
		build:    func(c any) (T, error) { return construct(*c.(*C)) },
	}
}

// With returns the plugin with its traits.
func (p Plugin[T]) With(t Traits) Plugin[T] { p.Traits = t; return p }

// For returns the plugin with an example section.
func (p Plugin[T]) For(example string) Plugin[T] { p.Example = example; return p }

// Defaults returns a pointer to a fresh configuration struct that holds the defaults.
func (p Plugin[T]) Defaults() any { return p.defaults() }

// Build makes the plugin from a section that holds the plugin's own keys; keys of the runtime must have been removed.
func (p Plugin[T]) Build(section json.RawMessage) (T, error) {
	c := p.defaults()
	var zero T
	if len(section) > 0 {
		if err := json.Unmarshal(section, c); err != nil {
			return zero, err
		}
	}
	return p.build(c)
}

// Lender is what a plugin adds when it needs what the runtime lends before it is started, for check --online.
type Lender interface {
	Lend(env Env)
}
