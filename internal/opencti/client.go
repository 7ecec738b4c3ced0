// Package opencti speaks to an OpenCTI platform (6.8 to 7.x) as a connector does: GraphQL over HTTP, for registration, pings,
// works and the push of bundles. Documents select and send only what every supported version knows; what only newer ones know
// is left out as soon as a platform says that it does not know it.
package opencti

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Agent is the User-Agent of requests whose HTTP client sets none.
const Agent = "stixbridge"

const (
	hidden         = "********"
	maxAnswer      = 16 << 20
	defaultTimeout = 2 * time.Minute // of one call whose context has no deadline
)

// Client speaks to one platform with one token. It is safe for concurrent use.
type Client struct {
	endpoint string
	token    string
	http     *http.Client
	plain    atomic.Bool // the platform does not know multipart works
}

// New makes a client for the platform at base, which may have a path prefix; nothing is sent yet.
func New(base, token string, client *http.Client) *Client {
	if client == nil {
		client = http.DefaultClient
	}
	return &Client{endpoint: strings.TrimRight(base, "/") + "/graphql", token: token, http: client}
}

// Do sends one document and decodes its data into out, which may be nil. A platform that answers with errors, with whatever
// status, gives an *Error. Nothing is retried. No error shows the token, also where the peer sends it back.
func (c *Client) Do(ctx context.Context, query string, vars map[string]any, out any) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultTimeout)
		defer cancel()
	}
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", Agent)
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("%s: %w", c.endpoint, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%s: %w", c.endpoint, err)
	}
	if len(text) > maxAnswer {
		return &Error{Status: resp.StatusCode, Message: "the answer is larger than 16 MiB"}
	}
	if c.token != "" {
		text = bytes.ReplaceAll(text, []byte(c.token), []byte(hidden)) // before it is shortened
	}
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors []wireError     `json:"errors"`
	}
	bad := json.Unmarshal(text, &answer)
	switch {
	case bad == nil && len(answer.Errors) > 0:
		return answer.Errors[0].error(resp)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return httpError(resp, text)
	case bad != nil:
		return &Error{Status: resp.StatusCode, Message: "the answer is not GraphQL: " + excerpt(text)}
	case out == nil:
		return nil
	case len(answer.Data) == 0:
		return &Error{Status: resp.StatusCode, Message: "the answer holds neither data nor errors"}
	}
	if err := json.Unmarshal(answer.Data, out); err != nil {
		return &Error{Status: resp.StatusCode, Message: "the answer is of an unknown form: " + err.Error()}
	}
	return nil
}

// Version asks for the platform's version, such as 7.261026.0.
func (c *Client) Version(ctx context.Context) (string, error) {
	var out struct{ About struct{ Version string } }
	err := c.Do(ctx, `query healthCheck { about { version } }`, nil, &out)
	return out.About.Version, err
}

// Me asks who the token belongs to and what it may do. Platforms that refuse parts of the question give what they answer.
func (c *Client) Me(ctx context.Context) (Me, error) {
	var out struct{ Me Me }
	err := c.Do(ctx, `query me { me { id name capabilities { name } } }`, nil, &out)
	return out.Me, err
}

// Me is the user behind a token.
type Me struct {
	ID           string
	Name         string
	Capabilities []struct{ Name string }
}

// May reports whether the user has a capability (CONNECTORAPI, TAXIIAPI, …) or may do everything. Capability names nest: one that
// begins with another and an underscore implies it.
func (m Me) May(capability string) bool {
	for _, c := range m.Capabilities {
		if c.Name == "BYPASS" || c.Name == capability || strings.HasPrefix(c.Name, capability+"_") {
			return true
		}
	}
	return false
}
