package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/stixbridge/stixbridge/stix"
)

// Run is lent to a producer for one call of Produce.
type Run struct {
	Name string       // the producer's configured name
	HTTP *http.Client // limits, SSRF guard, conditional GET, user agent
	Log  *slog.Logger
	Dir  string // a directory of the producer's own for files that may be lost
	Once bool   // run --once and import: stop when drained

	intake Intake
}

// Change is one thing that happened at the source.
type Change struct {
	Op          Op            // what the source said; empty: create or update, whichever it turns out to be
	Object      stix.Object   // after the change; for a delete the last known object, or one with id and type only
	SourceEvent string        // identity of the event at the source, when the source may repeat it; a repeat is silent
	Alias       string        // the source's own, lasting name of the object (OpenCTI's internal id), to notice renames
	OtherIDs    []string      // ids that the source says belonged to this object before
	Sources     []stix.Object // of a merge: what became part of the object
	AtLeast     *stix.TLP     // lowest level of the event, whatever the object's own markings say; nil: they decide
	Context     Context       // reverse_patch, origin, backfill, bundle, position, reason; the runtime fills the rest
}

// Gap is a stretch of the source's history that can no longer be read.
type Gap struct {
	From, To string // positions at the source
	Detail   string
	Healed   bool // the state was recovered; intermediate versions and deletes are not
}

// Intake is what stands behind a Run: the event log in the product, a recorder in tests.
type Intake interface {
	Put(ctx context.Context, c ...Change) error
	Commit(ctx context.Context, cursor json.RawMessage) error
	Cursor(ctx context.Context) (json.RawMessage, error)
	Reject(ctx context.Context, r Rejected) error
	Learn(o stix.Object)
	Prune(ctx context.Context, keep func(id string) bool) (deleted int, err error)
	Gap(ctx context.Context, g Gap) error
	Progress(done, total int64, unit string)
	Health(err error)
}

// Rejected is input that cannot become an event.
type Rejected struct {
	Raw      []byte // at most 1 MiB of it is kept
	Position string // where it stood: file or URL and element, SSE id, row
	Reason   string
}

// NewRun makes a Run over an intake; the runtime and tests use it.
func NewRun(name string, in Intake, client *http.Client, log *slog.Logger) *Run {
	if client == nil {
		client = http.DefaultClient
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Run{Name: name, HTTP: client, Log: log, intake: in}
}

// Upsert says that the source holds these objects in this form. It blocks while the window to the event log is full.
// What equals the last assertion of this producer makes no event.
func (r *Run) Upsert(ctx context.Context, objs ...stix.Object) error {
	c := make([]Change, len(objs))
	for i, o := range objs {
		c[i].Object = o
	}
	return r.intake.Put(ctx, c...)
}

// Delete says that the source no longer holds these objects. It blocks as Upsert does.
func (r *Run) Delete(ctx context.Context, objs ...stix.Object) error {
	c := make([]Change, len(objs))
	for i, o := range objs {
		c[i] = Change{Op: Delete, Object: o}
	}
	return r.intake.Put(ctx, c...)
}

// Put hands over changes with all that is known about them. It blocks as Upsert does.
func (r *Run) Put(ctx context.Context, changes ...Change) error { return r.intake.Put(ctx, changes...) }

// Cursor reads the last committed cursor into a pointer; it leaves the value alone when there is none.
func (r *Run) Cursor(ctx context.Context, into any) error {
	raw, err := r.intake.Cursor(ctx)
	if err != nil || len(raw) == 0 {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("cursor of %s is of an unknown form: %w", r.Name, err)
	}
	return nil
}

// Commit sets the cursor that a restart begins from. Everything put before it is in the event log no later than the
// cursor itself, which travels with the last event; Commit may return before either is durable. Flush waits.
func (r *Run) Commit(ctx context.Context, cursor any) error {
	raw, err := json.Marshal(cursor)
	if err != nil {
		return fmt.Errorf("cursor of %s: %w", r.Name, err)
	}
	return r.intake.Commit(ctx, raw)
}

// Reject stores input that cannot become an event as a dead letter of this producer; the run goes on.
func (r *Run) Reject(ctx context.Context, raw []byte, position string, reason error) error {
	return r.intake.Reject(ctx, Rejected{Raw: raw, Position: position, Reason: reason.Error()})
}

// Learn tells the runtime a marking-definition before objects that are marked with it are put.
func (r *Run) Learn(o stix.Object) { r.intake.Learn(o) }

// Prune deletes what this producer asserts and keep refuses, after a complete read. It refuses with an error when more than one object and more
// than the configured share (max_delete) would go.
func (r *Run) Prune(ctx context.Context, keep func(id string) bool) (deleted int, err error) {
	return r.intake.Prune(ctx, keep)
}

// Gap records that a stretch of the source's history is lost; status shows it.
func (r *Run) Gap(ctx context.Context, g Gap) error { return r.intake.Gap(ctx, g) }

// Progress feeds the progress bar; total 0 means unknown. Units: objects, bytes.
func (r *Run) Progress(done, total int64, unit string) { r.intake.Progress(done, total, unit) }

// Health tells the runtime how a live source fares: nil for well, an error while it cannot be read.
func (r *Run) Health(err error) { r.intake.Health(err) }

// Pause between attempts of a live producer; it returns early with ctx's error.
func (r *Run) Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
