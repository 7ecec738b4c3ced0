package opencti

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/amqp"
	"github.com/stixbridge/stixbridge/internal/opencti"
	"github.com/stixbridge/stixbridge/stix"
)

// Deliver sends a batch to the platform's queue. nil means that the broker (or the platform, with queue_protocol api) has it: what
// the platform's worker makes of it is read from the works later.
func (s *sink) Deliver(ctx context.Context, batch []bridge.Event) error {
	ses, err := s.registered(ctx)
	if err != nil {
		return err
	}
	p, err := s.plan(ctx, batch)
	if err != nil {
		return err
	}
	if len(p.pieces) > 0 {
		if err := s.pressure(ctx, ses); err != nil {
			return err
		}
		send := s.publish
		if s.QueueProtocol == "api" {
			send = s.push
		}
		if err := send(ctx, ses, batch, p); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.last, s.seq = time.Now(), max(s.seq, batch[len(batch)-1].Seq)
	s.mu.Unlock()
	return p.failed.Err()
}

// body of a message in the form that the platform's worker reads.
type body struct {
	BundleType    string   `json:"bundle_type"`
	ApplicantID   string   `json:"applicant_id"`
	Sequence      int      `json:"action_sequence"`
	EntitiesTypes []string `json:"entities_types"` // never null: the worker would drop the message
	Content       string   `json:"content"`
	Update        bool     `json:"update"`
	DraftID       *string  `json:"draft_id"`
	NoSplit       bool     `json:"no_split"`
	WorkID        string   `json:"work_id,omitempty"`
}

// publish sends the pieces of a plan to the queue. Errors of single events go to the plan; the error returned concerns the whole batch.
func (s *sink) publish(ctx context.Context, ses *session, batch []bridge.Event, p *plan) error {
	work, err := s.works.take(ctx, ses, len(p.pieces))
	if err != nil {
		return err
	}
	msgs := make([]amqp.Message, len(p.pieces))
	size := 0
	for i, one := range p.pieces {
		b, err := json.Marshal(body{
			BundleType: "QUEUE_BUNDLE", ApplicantID: ses.user, Sequence: i + 1, EntitiesTypes: []string{},
			Content: base64.StdEncoding.EncodeToString(one.bundle), Update: s.Update, WorkID: work.id,
		})
		if err != nil {
			return bridge.Permanent(err)
		}
		msgs[i] = amqp.Message{ID: messageID(batch, one), Body: b}
		size += len(b)
	}
	err = ses.publisher.Publish(ctx, msgs)
	var failed *amqp.Failed
	if err != nil && !errors.As(err, &failed) {
		failed = &amqp.Failed{Errors: map[int]error{}}
		for i := range msgs {
			failed.Errors[i] = err
		}
	}
	if failed != nil {
		s.works.giveBack(work, len(failed.Errors))
	}
	s.published(size)
	return s.settle(ses, batch, p, work, failed)
}

// settle sorts what became of the messages into what became of the events.
func (s *sink) settle(ses *session, batch []bridge.Event, p *plan, work *work, failed *amqp.Failed) error {
	var sent []string
	var whole error
	count := 0
	for i, one := range p.pieces {
		var err error
		if failed != nil {
			err = failed.Errors[i]
		}
		if err == nil {
			if one.gone {
				s.memory.forget(one.object.ID())
			} else {
				sent = append(sent, one.object.ID())
			}
			count++
			if one.event >= 0 {
				s.works.note(work, batch[one.event])
			}
			continue
		}
		var (
			gone      *amqp.MissingError
			lost      *amqp.UnroutableError
			large     *amqp.TooLargeError
			forbidden *amqp.RefusedError
		)
		switch {
		case errors.As(err, &large):
			if one.event < 0 {
				s.counts.refuse(s.lent().Log, stix.Dropped{ID: one.object.ID(), Type: one.object.Type(), Reason: err.Error()})
				sent = append(sent, one.object.ID()) // trying again would not help
				continue
			}
			err = bridge.Permanent(err)
		case errors.As(err, &gone), errors.As(err, &lost), errors.As(err, &forbidden):
			s.drop(ses) // registering again makes queues and bindings, and brings new credentials
			err = s.explain(err)
		default:
			err = s.explain(err)
		}
		if one.event >= 0 {
			p.failed.Fail(one.event, err)
		} else {
			whole = err // what goes along must not be missing: the batch goes once more
		}
	}
	s.memory.add(sent)
	s.counts.sent(count)
	if whole != nil {
		return whole
	}
	if failed != nil {
		return sameKind(p.failed, len(batch))
	}
	return nil
}

// sameKind returns the one error of a batch that failed as a whole, so that the runtime sees an outage and not bad events.
func sameKind(b bridge.BatchError, n int) error {
	if len(b.Failed) < n {
		return nil // the plan carries them
	}
	var first error
	for i := range n {
		err := b.Failed[i]
		if err == nil || bridge.IsPermanent(err) {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// messageID is the same whenever the same content is sent again for the same reason.
func messageID(batch []bridge.Event, one piece) string {
	h := sha256.New()
	if one.event >= 0 {
		h.Write([]byte(batch[one.event].ID))
	}
	d := sha256.Sum256(one.bundle)
	h.Write(d[:])
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// unfit are answers that say that the bundle, not the platform, is the trouble.
var unfit = map[int]bool{http.StatusBadRequest: true, http.StatusRequestEntityTooLarge: true, http.StatusUnprocessableEntity: true}

// push hands the pieces over by HTTP, in one bundle: the platform splits it again.
func (s *sink) push(ctx context.Context, ses *session, batch []bridge.Event, p *plan) error {
	work, err := s.works.take(ctx, ses, len(p.pieces))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString(`{"type":"bundle","id":"` + bundleID(batch[0]) + `","spec_version":"2.1","objects":[`)
	for i, one := range p.pieces {
		var bundle struct {
			Objects []json.RawMessage `json:"objects"`
		}
		if err := json.Unmarshal(one.bundle, &bundle); err != nil || len(bundle.Objects) != 1 {
			return bridge.Permanent(errors.Join(err, errNothing))
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(bundle.Objects[0])
	}
	b.WriteString(`]}`)
	err = s.client.Push(ctx, ses.id, b.Bytes(), work.id)
	var e *opencti.Error
	switch {
	case err == nil:
	case opencti.Unregistered(err), errors.As(err, &e) && e.Name == "UNSUPPORTED_ERROR" && e.Message == "Invalid connector":
		s.drop(ses)
		return s.explain(err)
	case errors.As(err, &e) && (unfit[e.Status] && e.Name == "" || e.Name == "UNSUPPORTED_ERROR" || e.Name == opencti.BadInput):
		return bridge.Permanent(err)
	default:
		return s.explain(err)
	}
	s.published(b.Len())
	return s.settle(ses, batch, p, work, nil)
}
