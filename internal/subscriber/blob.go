package subscriber

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/stix"
)

// Headers of an answer with a part of a large payload.
const (
	HeaderBlobSize = "Stix-Blob-Size" // bytes of the whole
	HeaderBlobNext = "Stix-Blob-Next" // what to ask with for the next part; missing in the last one
)

// partBytes is about how much of a payload one answer carries.
const partBytes = 1 << 20

var blobForm = regexp.MustCompile(`^stix_blobs_([a-z_]+)/([0-9a-f]{64})(?: ([0-9]{1,19}))?$`)

// blob answers a request for a part of a large payload. The request is the value of a Stix-Blob header, and for a further part a space
// and the Stix-Blob-Next of the part before. What is above the ceiling and what is not there have the same answer. The name of a payload
// is its SHA-256, so that only who has seen an event that refers to it can ask.
func (d *desk) blob(ctx context.Context, m *nats.Msg) {
	q := blobForm.FindStringSubmatch(string(m.Data))
	if q == nil {
		d.refuse(m, "400", "want a Stix-Blob header's value, and for a further part a space and Stix-Blob-Next")
		return
	}
	level, err := stix.ParseTLP(q[1])
	if err != nil || level.String() != q[1] || !d.sub.level(level) {
		d.refuse(m, "404", notThere)
		return
	}
	a, err := d.part(ctx, "stix_blobs_"+level.String(), q[2], q[3])
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound), errors.Is(err, jetstream.ErrObjectNotFound), errors.Is(err, jetstream.ErrMsgNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		d.refuse(m, "404", notThere)
	case err != nil:
		d.log.Warn("subscriber asks for a payload", "name", d.sub.Name, "error", err)
		d.refuse(m, "503", "try again")
	default:
		a.Subject = m.Reply
		_ = d.nc.PublishMsg(a)
	}
}

const notThere = "no such payload"

// refuse answers with an error, as NATS services do.
func (d *desk) refuse(m *nats.Msg, code, text string) {
	_ = d.nc.PublishMsg(&nats.Msg{Subject: m.Reply, Header: nats.Header{"Nats-Service-Error-Code": {code}, "Nats-Service-Error": {text}}})
}

// part reads chunks of a payload from a place in its bucket on.
func (d *desk) part(ctx context.Context, bucket, name, from string) (*nats.Msg, error) {
	store, err := d.store.JS.ObjectStore(ctx, bucket)
	if err != nil {
		return nil, err
	}
	info, err := store.GetInfo(ctx, name)
	if err != nil {
		return nil, err
	}
	stream, err := d.store.JS.Stream(ctx, "OBJ_"+bucket)
	if err != nil {
		return nil, err
	}
	subject := "$O." + bucket + ".C." + info.NUID // its chunks and nobody else's, whatever place is asked for
	last, err := stream.GetLastMsgForSubject(ctx, subject)
	if err != nil {
		return nil, err
	}
	seq, _ := strconv.ParseUint(strings.TrimSpace(from), 10, 64)
	a := &nats.Msg{Header: nats.Header{HeaderBlobSize: {strconv.FormatUint(info.Size, 10)}}}
	for seq = max(seq, 1); len(a.Data) < partBytes; {
		c, err := stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(subject))
		if err != nil {
			return nil, err
		}
		a.Data = append(a.Data, c.Data...)
		if c.Sequence >= last.Sequence {
			return a, nil
		}
		seq = c.Sequence + 1
	}
	a.Header[HeaderBlobNext] = []string{strconv.FormatUint(seq, 10)}
	return a, nil
}
