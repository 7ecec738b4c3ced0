package opencti

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/amqp"
	"github.com/stixbridge/stixbridge/internal/httpx"
	"github.com/stixbridge/stixbridge/internal/opencti"
)

// session is what a registration gave.
type session struct {
	id        string // of the connector
	user      string // that the platform's worker acts for
	queue     string
	publisher *amqp.Publisher // nil with queue_protocol api
}

// registered returns the session, and registers when there is none.
func (s *sink) registered(ctx context.Context) (*session, error) {
	s.registering.Lock()
	defer s.registering.Unlock()
	s.mu.Lock()
	ses, env := s.session, s.env
	s.mu.Unlock()
	if ses != nil {
		return ses, nil
	}
	id := cmp.Or(s.ConnectorID, opencti.ConnectorID(s.URL, env.Name))
	r, err := s.client.Register(ctx, opencti.Connector{
		ID: id, Name: cmp.Or(s.ConnectorName, "stixbridge "+env.Name), Type: "EXTERNAL_IMPORT", Scope: []string{"stix2"},
	})
	if err != nil {
		return nil, s.explain(err)
	}
	ses = &session{id: id, user: r.UserID, queue: r.Config.Push}
	if s.QueueProtocol == "amqp" {
		c, err := s.broker(r)
		if err != nil {
			return nil, err
		}
		ses.publisher = amqp.New(c)
		if _, err := ses.publisher.Check(ctx, ses.queue); err != nil {
			_ = ses.publisher.Close()
			return nil, s.explain(err)
		}
	}
	s.mu.Lock()
	s.session = ses
	s.state.Adopt(r.State)
	s.mu.Unlock()
	env.Log.Info("registered at the platform", "connector", id, "queue", ses.queue, "protocol", s.QueueProtocol)
	return ses, nil
}

// drop ends a session; the next delivery registers again, which makes missing queues and bindings anew.
func (s *sink) drop(ses *session) {
	s.mu.Lock()
	if s.session == ses {
		s.session = nil
	}
	s.mu.Unlock()
	if ses.publisher != nil {
		_ = ses.publisher.Close()
	}
}

// broker joins what the platform says about its RabbitMQ with what the configuration says.
func (s *sink) broker(r opencti.Registered) (amqp.Config, error) {
	b := r.Config.Connection
	c := amqp.Config{
		Host: cmp.Or(s.MQHost, b.Host), Port: cmp.Or(s.MQPort, b.Port), VHost: cmp.Or(s.MQVHost, b.VHost),
		User: cmp.Or(s.MQUser, b.User), Password: cmp.Or(s.MQPassword.Reveal(), b.Password),
		Exchange: r.Config.PushExchange, Key: r.Config.PushRouting, Name: "stixbridge", Patience: s.patience,
	}
	if c.Host == "" || c.Port == 0 || c.Exchange == "" {
		return c, fmt.Errorf("the platform named no broker to publish to; set mq_host, or queue_protocol: api")
	}
	use := b.UseSSL
	if s.MQUseTLS != nil {
		use = *s.MQUseTLS
	}
	if use {
		conf, err := httpx.LoadTLS(s.MQTLS.CA, s.MQTLS.Cert, s.MQTLS.Key, s.MQTLS.Insecure)
		if err != nil {
			return c, bridge.KeyError("mq_tls", err)
		}
		if conf == nil {
			conf = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		conf.ServerName = c.Host
		c.TLS = conf
	}
	return c, nil
}

// connectorState is what users of the platform see of us, and may reset.
type connectorState struct {
	LastRun  string `json:"last_run,omitempty"`
	Position uint64 `json:"position,omitempty"` // sequence of the last event delivered
}

// settleWait bounds the wait for a producer that stopped between an event and its latest object: its own status says so, and it must not
// hold up what others say.
const settleWait = 10 * time.Second

// settled waits until what this consumer has read can be looked up. That is what makes it safe to send what others refer to: they find
// it there, however they race with us.
func (s *sink) settled(ctx context.Context) error {
	env := s.lent()
	if env.Settle == nil {
		return nil
	}
	s.mu.Lock()
	wait := settleWait
	if time.Since(s.unsettled) < settleWait {
		wait = 0 // it was waited for a moment ago
	}
	s.mu.Unlock()
	limit, cancel := context.WithTimeout(ctx, wait+50*time.Millisecond)
	defer cancel()
	err := env.Settle(limit)
	if err == nil || ctx.Err() != nil || limit.Err() == nil {
		return err
	}
	s.mu.Lock()
	s.unsettled = time.Now()
	s.mu.Unlock()
	if wait > 0 {
		env.Log.Warn("the latest objects are behind the event log: what objects refer to is sent as it is known")
	}
	return nil
}

// beat pings the platform.
func (s *sink) beat(ctx context.Context) {
	s.mu.Lock()
	ses, env, q, last, seq := s.session, s.env, s.queue, s.last, s.seq
	s.mu.Unlock()
	if ses == nil {
		return
	}
	if !last.IsZero() {
		_ = s.state.Set(connectorState{last.UTC().Format("2006-01-02T15:04:05+00:00"), seq})
	}
	reset, err := s.client.Ping(ctx, ses.id, &s.state, opencti.Info{
		Buffering: q.waiting, Threshold: int64(s.QueueThreshold), QueueSize: q.bytes, LastRun: last,
	})
	switch {
	case opencti.Unregistered(err):
		env.Log.Warn("the platform does not know this connector any more; registering again", "connector", ses.id)
		s.drop(ses)
	case err != nil && ctx.Err() == nil:
		env.Log.Debug("ping failed", "error", err)
	case reset:
		s.memory.clear()
		s.mu.Lock()
		s.last, s.seq = time.Time{}, 0
		s.mu.Unlock()
		env.Log.Warn("state was reset in the platform: what objects refer to is sent along again; to send everything again, replay this sink")
	}
}

// fill is what is known about the push queue.
type fill struct {
	at       time.Time
	messages int64
	bytes    int64 // when last asked
	since    int64 // bytes published since
	waiting  bool
}

// pressure returns an error while the platform's queue is over the threshold.
func (s *sink) pressure(ctx context.Context, ses *session) error {
	s.mu.Lock()
	q := s.queue
	s.mu.Unlock()
	if time.Since(q.at) >= s.pace.queue || q.bytes+q.since >= int64(s.QueueThreshold) {
		got, err := s.client.Queue(ctx, ses.id)
		if opencti.Unregistered(err) {
			s.drop(ses)
		}
		if err != nil {
			return s.explain(err)
		}
		s.mu.Lock()
		s.queue.at, s.queue.messages, s.queue.bytes, s.queue.since = time.Now(), got.Messages, got.Bytes, 0
		s.queue.waiting = got.Bytes >= int64(s.QueueThreshold)
		q = s.queue
		s.mu.Unlock()
	}
	if q.bytes+q.since >= int64(s.QueueThreshold) {
		return bridge.RetryAfter(fmt.Errorf("the platform's queue for this connector holds %.1f MB in %d messages, over queue_threshold: waiting for its workers", float64(q.bytes)/1e6, q.messages), s.pace.queue)
	}
	return nil
}

func (s *sink) published(bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.since += int64(bytes)
}
