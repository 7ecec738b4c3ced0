// Package opencti is the sink that writes into an OpenCTI platform as one of its connectors: registered, with works that its users can
// follow, through the platform's own queue and worker.
package opencti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/amqp"
	"github.com/stixbridge/stixbridge/internal/httpx"
	"github.com/stixbridge/stixbridge/internal/opencti"
)

// Plugin is the kind opencti. Several deliveries at once keep the broker busy: while one waits for its last confirmations, others are planned
// and sent.
var Plugin = bridge.Define("opencti", "OpenCTI platform: as a connector, through its queue (AMQP) or its API", Config{
	QueueProtocol: "amqp", QueueThreshold: 500e6,
}, newSink).With(bridge.Traits{State: true, Batch: bridge.Limits{Events: 250, Bytes: 4 << 20}, Concurrency: 4}).For(`kind: opencti
name: to-opencti
url: https://opencti.example.org
token: ${OPENCTI_TOKEN}
producers: [attack]
`)

// Config of an opencti sink.
type Config struct {
	URL            string        `json:"url,omitempty" jsonschema:"format=uri,description=Base URL of the platform. Default: opencti.url."`
	Token          bridge.Secret `json:"token,omitempty" jsonschema:"description=API token of a user with the capability to connect (CONNECTORAPI). Default: opencti.token."`
	ConnectorID    string        `json:"connector_id,omitempty" jsonschema:"format=uuid,description=Id of the connector; it names the queues. Default: a UUIDv5 of url and name."`
	ConnectorName  string        `json:"connector_name,omitempty" jsonschema:"description=Name that the platform shows. Default: stixbridge and the sink's name."`
	QueueProtocol  string        `json:"queue_protocol,omitempty" jsonschema:"enum=amqp,enum=api,description=amqp: publish to the platform's RabbitMQ\\, with confirmations. api: hand bundles over by HTTP\\, where RabbitMQ cannot be reached. Default amqp."`
	QueueThreshold bridge.Size   `json:"queue_threshold,omitempty" jsonschema:"description=Wait while the platform's queue for this connector holds more than this. Default 500MB."`
	Update         bool          `json:"update,omitempty" jsonschema:"description=Also overwrite where one object matches several in the platform."`
	OnDelete       string        `json:"on_delete,omitempty" jsonschema:"enum=auto,enum=ignore,enum=revoke,enum=delete,description=What a delete\\, expire or retract means in the platform. auto: indicators are revoked and the rest is left alone. Default auto."`
	Live           []string      `json:"live,omitempty" jsonschema:"description=Names of the opencti-live producers that follow this same platform: what equals their last word is not sent back. Those whose events come by are found without it."`
	MQHost         string        `json:"mq_host,omitempty" jsonschema:"description=Host of RabbitMQ\\, where it is not the one that the platform names."`
	MQPort         int           `json:"mq_port,omitempty" jsonschema:"minimum=1,maximum=65535,description=Its port."`
	MQVHost        string        `json:"mq_vhost,omitempty" jsonschema:"description=Its virtual host."`
	MQUser         string        `json:"mq_user,omitempty"`
	MQPassword     bridge.Secret `json:"mq_password,omitempty"`
	MQUseTLS       *bool         `json:"mq_use_tls,omitempty" jsonschema:"description=Speak TLS to it. Default: what the platform says."`
	MQTLS          bridge.TLS    `json:"mq_tls,omitempty" jsonschema:"description=Authorities and client certificate for RabbitMQ."`
	TLS            bridge.TLS    `json:"tls,omitempty" jsonschema:"description=Authorities and client certificate for the platform. Default: opencti.tls."`
}

// pace holds the times that tests shorten.
type pace struct {
	ping     time.Duration // between two pings
	poll     time.Duration // between two looks at the works
	queue    time.Duration // how old the known size of the queue may be
	work     time.Duration // how long one work takes objects
	workSize int           // how many objects it takes
	patience time.Duration // of the publisher
}

type sink struct {
	Config
	pace
	platform string // its id
	client   *opencti.Client
	http     *http.Client

	memory memory
	adrift adrift
	works  works
	counts counts

	registering sync.Mutex

	mu      sync.Mutex
	env     bridge.Env
	session *session // nil: register first
	state   opencti.State
	queue   fill
	last    time.Time // of the last delivery
	seq     uint64
	// unsettled is when the latest objects were last behind the log for too long.
	unsettled time.Time

	ctx    context.Context
	cancel context.CancelFunc
	begun  sync.Once
	wg     sync.WaitGroup
}

func newSink(c Config) (bridge.Sink, error) {
	if err := opencti.Address(c.URL); err != nil {
		return nil, bridge.KeyError("url", err)
	}
	switch {
	case c.Token == "":
		return nil, bridge.KeyError("token", errors.New("name the token here, in opencti.token or in OPENCTI_TOKEN"))
	}
	if c.ConnectorID != "" {
		if _, err := uuid.Parse(c.ConnectorID); err != nil {
			return nil, bridge.KeyError("connector_id", fmt.Errorf("%q is no UUID; leave the key out for one that is made of url and name", c.ConnectorID))
		}
	}
	switch c.QueueProtocol {
	case "":
		c.QueueProtocol = "amqp"
	case "amqp", "api":
	default:
		return nil, bridge.KeyError("queue_protocol", fmt.Errorf("%q is neither amqp nor api", c.QueueProtocol))
	}
	if c.QueueThreshold <= 0 {
		return nil, bridge.KeyError("queue_threshold", errors.New("must be above 0; name a size such as 500MB"))
	}
	switch c.OnDelete {
	case "":
		c.OnDelete = "auto"
	case "auto", "ignore", "revoke", "delete":
	default:
		return nil, bridge.KeyError("on_delete", fmt.Errorf("%q is none of auto, ignore, revoke, delete", c.OnDelete))
	}
	conf, err := httpx.LoadTLS(c.TLS.CA, c.TLS.Cert, c.TLS.Key, c.TLS.Insecure)
	if err != nil {
		return nil, bridge.KeyError("tls", err)
	}
	if _, err := httpx.LoadTLS(c.MQTLS.CA, c.MQTLS.Cert, c.MQTLS.Key, c.MQTLS.Insecure); err != nil {
		return nil, bridge.KeyError("mq_tls", err)
	}
	s := &sink{Config: c, platform: opencti.PlatformID(c.URL),
		pace: pace{ping: 40 * time.Second, poll: 15 * time.Second, queue: 10 * time.Second, work: time.Minute, workSize: 5000, patience: amqp.DefaultPatience}}
	s.http = httpx.New(httpx.Options{Trusted: []string{c.URL}, TLS: conf, Retry: -1, Idle: -1})
	s.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = opencti.New(c.URL, c.Token.Reveal(), s.http)
	s.memory.most = rememberObjects
	s.works.s = s
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, name := range c.Live {
		s.memory.follow(name)
	}
	return s, nil
}

// Start registers the connector and begins to ping. When it is called again, what was sent is forgotten: whoever takes over work that
// another process may have left half done sends along what objects refer to, and looks after it.
func (s *sink) Start(ctx context.Context, env bridge.Env) error {
	s.memory.clear()
	s.mu.Lock()
	s.env = env
	s.mu.Unlock()
	if _, err := s.registered(ctx); err != nil {
		return err
	}
	s.begun.Do(func() {
		s.works.load(ctx)
		s.wg.Go(func() { s.every(s.ping, s.beat) })
		s.wg.Go(func() { s.every(s.poll, s.works.look) })
		s.wg.Go(func() { s.every(s.poll, s.catchUp) })
	})
	return nil
}

func (s *sink) lent() bridge.Env {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.env
}

// every calls f at once and then again after each pause, until the sink is closed.
func (s *sink) every(pause time.Duration, f func(context.Context)) {
	t := time.NewTicker(pause)
	defer t.Stop()
	for {
		f(s.ctx)
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
	}
}

// closeWait bounds what a stop still says to the platform.
const closeWait = 3 * time.Second

// Close pings a last time and disconnects. The connector stays registered: unregistering would delete its queues with all that is
// in them.
func (s *sink) Close() error {
	s.cancel()
	s.wg.Wait()
	s.mu.Lock()
	ses := s.session
	s.mu.Unlock()
	if ses != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeWait)
		defer cancel()
		s.works.finish(ctx)
		s.beat(ctx)
		s.drop(ses)
	}
	s.http.CloseIdleConnections()
	return nil
}

// Probe asks the platform who we are and what we may do; it changes nothing.
func (s *sink) Probe(ctx context.Context) error {
	me, err := s.client.Me(ctx)
	var e *opencti.Error
	if errors.As(err, &e) {
		if _, unknown := e.UnknownField(); unknown {
			_, err = s.client.Version(ctx)
			return s.explain(err)
		}
	}
	if err != nil {
		return s.explain(err)
	}
	if !me.May("CONNECTORAPI") {
		return bridge.Paused(fmt.Errorf("the token's user %s lacks the capability to register connectors (CONNECTORAPI)", me.Name))
	}
	s.mu.Lock()
	ses := s.session
	s.mu.Unlock()
	if ses != nil && ses.publisher != nil {
		if _, err := ses.publisher.Check(ctx, ses.queue); err != nil {
			s.drop(ses)
			return s.explain(err)
		}
	}
	return nil
}

// explain gives an error the kind that tells the runtime what to do.
func (s *sink) explain(err error) error {
	var (
		refused *amqp.RefusedError
		blocked *amqp.BlockedError
	)
	switch {
	case err == nil:
		return nil
	case opencti.Refused(err):
		return bridge.Paused(fmt.Errorf("%w; check the token, and that its user may register connectors (CONNECTORAPI)", err))
	case errors.As(err, &refused):
		return bridge.Paused(fmt.Errorf("%w; check mq_user, mq_password and mq_vhost", err))
	case errors.As(err, &blocked):
		return bridge.RetryAfter(err, 2*time.Second)
	case opencti.Wait(err) > 0:
		return bridge.RetryAfter(err, opencti.Wait(err))
	}
	return err
}
