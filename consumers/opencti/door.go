package opencti

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/opencti"
)

// door is the platform's API, which takes bundles and splits them again.
type door struct{ *call }

// unfit are answers that say that the bundle, not the platform, is the trouble.
var unfit = map[int]bool{http.StatusBadRequest: true, http.StatusRequestEntityTooLarge: true, http.StatusUnprocessableEntity: true}

var errNothing = errors.New("nothing to send")

func (d *door) send(ctx context.Context, pieces []piece) error {
	work, err := d.s.works.take(ctx, d.ses, len(pieces))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString(`{"type":"bundle","id":"` + d.bundle + `","spec_version":"2.1","objects":[`)
	for i := range pieces {
		pieces[i].work = work
		var bundle struct {
			Objects []json.RawMessage `json:"objects"`
		}
		if err := json.Unmarshal(pieces[i].bundle, &bundle); err != nil || len(bundle.Objects) != 1 {
			return bridge.Permanent(errors.Join(err, errNothing))
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(bundle.Objects[0])
	}
	b.WriteString(`]}`)
	err = d.s.client.Push(ctx, d.ses.id, b.Bytes(), work.id)
	var e *opencti.Error
	switch {
	case err == nil:
		d.s.published(b.Len())
		return nil
	case opencti.Unregistered(err), errors.As(err, &e) && e.Name == "UNSUPPORTED_ERROR" && e.Message == "Invalid connector":
		d.s.drop(d.ses)
		return d.s.explain(err)
	case errors.As(err, &e) && (unfit[e.Status] && e.Name == "" || e.Name == "UNSUPPORTED_ERROR" || e.Name == opencti.BadInput):
		return bridge.Permanent(err)
	}
	return d.s.explain(err)
}

func (d *door) wait() (map[int]error, bool) { return nil, true }
