package opencti

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
)

const (
	workAdd = `mutation workAdd($connectorId: String!, $friendlyName: String, $isMultiPartWork: Boolean) {
  workAdd(connectorId: $connectorId, friendlyName: $friendlyName, isMultiPartWork: $isMultiPartWork) { id }
}`
	workAddPlain = `mutation workAdd($connectorId: String!, $friendlyName: String) {
  workAdd(connectorId: $connectorId, friendlyName: $friendlyName) { id }
}`
	workExpect    = `mutation addExpectations($id: ID!, $expectations: Int) { workEdit(id: $id) { addExpectations(expectations: $expectations) } }`
	workReceived  = `mutation workToReceived($id: ID!, $message: String) { workEdit(id: $id) { toReceived(message: $message) } }`
	workProcessed = `mutation workToProcessed($id: ID!, $message: String, $inError: Boolean) { workEdit(id: $id) { toProcessed(message: $message, inError: $inError) } }`
	workReport    = `mutation reportExpectation($id: ID!, $error: WorkErrorInput) { workEdit(id: $id) { reportExpectation(error: $error) } }`
	workQuery     = `query WorkQuery($id: ID!) {
  work(id: $id) { id status completed_time tracking { import_expected_number import_processed_number } errors { timestamp message sequence source } }
}`
	bundlePush = `mutation StixBundlePush($connectorId: String!, $bundle: String!, $work_id: String) {
  stixBundlePush(connectorId: $connectorId, bundle: $bundle, work_id: $work_id)
}`
)

// AddWork opens a work, which the platform shows to its users. multi keeps it open until it is marked processed, so that
// expectations can be added bit by bit; platforms before 7.260430 do not know that and get a plain work.
func (c *Client) AddWork(ctx context.Context, connector, name string, multi bool) (string, error) {
	var out struct {
		WorkAdd struct{ ID string } `json:"workAdd"`
	}
	vars := map[string]any{"connectorId": connector, "friendlyName": name}
	if multi && !c.plain.Load() {
		vars["isMultiPartWork"] = true
		err := c.Do(ctx, workAdd, vars, &out)
		var e *Error
		if !errors.As(err, &e) {
			return out.WorkAdd.ID, err
		}
		if _, unknown := e.UnknownField(); !unknown {
			return "", err
		}
		c.plain.Store(true)
		delete(vars, "isMultiPartWork")
	}
	err := c.Do(ctx, workAddPlain, vars, &out)
	return out.WorkAdd.ID, err
}

// Expect announces n more results of a work. Announce before publishing: a work whose results meet its expectations is
// complete.
func (c *Client) Expect(ctx context.Context, work string, n int) error {
	return c.Do(ctx, workExpect, map[string]any{"id": work, "expectations": n}, nil)
}

// Received marks a work as begun.
func (c *Client) Received(ctx context.Context, work, message string) error {
	return c.Do(ctx, workReceived, map[string]any{"id": work, "message": message}, nil)
}

// Processed says that nothing more will be sent for a work.
func (c *Client) Processed(ctx context.Context, work, message string, inError bool) error {
	return c.Do(ctx, workProcessed, map[string]any{"id": work, "message": message, "inError": inError}, nil)
}

// Report gives one result of a work in the importer's place: an error, or success when message is empty.
func (c *Client) Report(ctx context.Context, work, message, source string) error {
	var report any
	if message != "" {
		report = map[string]any{"error": message, "source": source}
	}
	return c.Do(ctx, workReport, map[string]any{"id": work, "error": report}, nil)
}

// Work is how far the platform is with a work.
type Work struct {
	ID       string      `json:"id"`
	Status   string      `json:"status"` // wait, progress, complete
	Tracking Tracking    `json:"tracking"`
	Errors   []WorkError `json:"errors"` // the platform keeps at most 100
}

// Tracking counts results.
type Tracking struct {
	Expected  int `json:"import_expected_number"`
	Processed int `json:"import_processed_number"`
}

// WorkError is one object that the platform did not import.
type WorkError struct {
	Timestamp string `json:"timestamp"`
	Message   string `json:"message"`
	Sequence  int    `json:"sequence"`
	Source    string `json:"source"` // usually the JSON of the object, or a word in its place
}

// ObjectID finds the id of the object that an error is about; empty when the error does not say.
func (w WorkError) ObjectID() string {
	for _, text := range []string{w.Source, w.Message} {
		var o struct {
			ID      string `json:"id"`
			Objects []struct {
				ID string `json:"id"`
			} `json:"objects"`
		}
		if json.Unmarshal([]byte(text), &o) != nil {
			continue
		}
		if o.ID != "" && !strings.HasPrefix(o.ID, "bundle--") {
			return o.ID
		}
		if len(o.Objects) == 1 {
			return o.Objects[0].ID
		}
	}
	return ""
}

// Work asks how far a work is; nil when the platform does not have it (any more).
func (c *Client) Work(ctx context.Context, id string) (*Work, error) {
	var out struct {
		Work *Work `json:"work"`
	}
	err := c.Do(ctx, workQuery, map[string]any{"id": id}, &out)
	if Named(err, "RESOURCE_NOT_FOUND") {
		return nil, nil
	}
	return out.Work, err
}

// Push hands a whole bundle to the platform, which splits and queues it. It needs no broker; one call is one HTTP round trip. work
// may be empty; then the platform opens one.
func (c *Client) Push(ctx context.Context, connector string, bundle []byte, work string) error {
	vars := map[string]any{"connectorId": connector, "bundle": string(bundle)}
	if work != "" {
		vars["work_id"] = work
	}
	return c.Do(ctx, bundlePush, vars, nil)
}
