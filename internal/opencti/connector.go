package opencti

import (
	"context"
	"errors"
	"time"
)

// Connector is what registers at a platform.
type Connector struct {
	ID    string // UUID; names the queues too
	Name  string
	Type  string   // EXTERNAL_IMPORT, STREAM, INTERNAL_ENRICHMENT, …
	Scope []string // "not-applicable" when empty
	// Extra holds input that only some versions know (version, slug, …). What a platform does not know is left out.
	Extra map[string]any
}

// Registered is a platform's answer to a registration.
type Registered struct {
	ID     string `json:"id"`
	State  string `json:"connector_state"` // JSON text, or empty
	UserID string `json:"connector_user_id"`
	Config struct {
		Connection     Broker `json:"connection"`
		Listen         string `json:"listen"`
		ListenRouting  string `json:"listen_routing"`
		ListenExchange string `json:"listen_exchange"`
		Push           string `json:"push"`
		PushRouting    string `json:"push_routing"`
		PushExchange   string `json:"push_exchange"`
	} `json:"config"`
	LeftOut []string `json:"-"` // input that this platform did not know
}

// Broker says where a platform's RabbitMQ is, as its connectors see it.
type Broker struct {
	Host     string `json:"host"`
	VHost    string `json:"vhost"`
	UseSSL   bool   `json:"use_ssl"`
	Port     int    `json:"port"`
	User     string `json:"user"`
	Password string `json:"pass"`
}

const registerConnector = `mutation RegisterConnector($input: RegisterConnectorInput) {
  registerConnector(input: $input) {
    id connector_state connector_user_id
    config {
      connection { host vhost use_ssl port user pass }
      listen listen_routing listen_exchange push push_routing push_exchange
    }
  }
}`

// Register announces a connector; the platform makes its queues. It may be repeated at any time. Input that the platform
// does not know is left out and the registration repeated, so that one document serves all versions.
func (c *Client) Register(ctx context.Context, k Connector) (Registered, error) {
	scope := k.Scope
	if len(scope) == 0 {
		scope = []string{"not-applicable"}
	}
	input := map[string]any{
		"id": k.ID, "name": k.Name, "type": k.Type, "scope": scope,
		"auto": false, "auto_update": false, "enrichment_resolution": "none",
		"only_contextual": false, "playbook_compatible": false, "listen_callback_uri": nil,
	}
	for name, v := range k.Extra {
		input[name] = v
	}
	var left []string
	for {
		var out struct {
			RegisterConnector Registered `json:"registerConnector"`
		}
		err := c.Do(ctx, registerConnector, map[string]any{"input": input}, &out)
		var e *Error
		if errors.As(err, &e) {
			if name, ok := e.UnknownField(); ok {
				if _, sent := input[name]; sent && name != "id" && name != "name" && name != "type" {
					delete(input, name)
					left = append(left, name)
					continue
				}
			}
		}
		out.RegisterConnector.LeftOut = left
		return out.RegisterConnector, err
	}
}

// Info is what a ping tells the platform's users about a connector.
type Info struct {
	Buffering bool // the connector waits because its queue is too long
	Threshold int64
	QueueSize int64 // bytes, both
	LastRun   time.Time
	NextRun   time.Time
}

const pingConnector = `mutation PingConnector($id: ID!, $state: String, $connectorInfo: ConnectorInfoInput) {
  pingConnector(id: $id, state: $state, connectorInfo: $connectorInfo) { id connector_state }
}`

// Ping says that the connector lives and exchanges its state; reset reports that somebody reset the state in the platform,
// which is taken over at once: the platform says so only once.
func (c *Client) Ping(ctx context.Context, id string, s *State, info Info) (reset bool, err error) {
	sent, rev := s.read()
	var out struct {
		PingConnector struct {
			State string `json:"connector_state"`
		} `json:"pingConnector"`
	}
	err = c.Do(ctx, pingConnector, map[string]any{"id": id, "state": sent, "connectorInfo": map[string]any{
		"run_and_terminate": false, "buffering": info.Buffering,
		"queue_threshold": megabytes(info.Threshold), "queue_messages_size": megabytes(info.QueueSize),
		"next_run_datetime": date(info.NextRun), "last_run_datetime": date(info.LastRun),
	}}, &out)
	if err != nil {
		return false, err
	}
	return s.answered(sent, rev, out.PingConnector.State), nil
}

// megabytes are decimal, as the platform shows them.
func megabytes(n int64) float64 { return float64(n) / 1e6 }

func date(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// Queue is the fill of a connector's push queue.
type Queue struct {
	Messages int64 // as the broker's management last counted
	Bytes    int64
}

const getConnector = `query GetConnector($id: String!) {
  connector(id: $id) { id active connector_queue_details { messages_number messages_size } }
}`

// Queue asks how full the push queue is. The platform answers 0 when it cannot ask its broker.
func (c *Client) Queue(ctx context.Context, id string) (Queue, error) {
	var out struct {
		Connector *struct {
			Details struct {
				Number float64 `json:"messages_number"`
				Size   float64 `json:"messages_size"`
			} `json:"connector_queue_details"`
		} `json:"connector"`
	}
	if err := c.Do(ctx, getConnector, map[string]any{"id": id}, &out); err != nil {
		return Queue{}, err
	}
	if out.Connector == nil {
		return Queue{}, &Error{Name: Functional, Status: 200, Message: "No connector found with the specified ID"}
	}
	return Queue{Messages: int64(out.Connector.Details.Number), Bytes: int64(out.Connector.Details.Size)}, nil
}
