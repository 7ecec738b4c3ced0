package eventlog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/stix"
)

// MaxInline is the largest object that travels in its event, in bytes; larger ones go to the object store.
const MaxInline = 4 << 20

// Blobs is the object store for large payloads: one bucket per TLP, objects named by their SHA-256.
type Blobs struct {
	js       jetstream.JetStream
	replicas int
}

// Put stores a payload and returns its reference, <bucket>/<sha256>. It blocks until the payload is durable; storing the same payload again is cheap.
func (b *Blobs) Put(ctx context.Context, level stix.TLP, data []byte) (string, error) {
	bucket := "stix_blobs_" + level.String()
	store, err := b.js.ObjectStore(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		store, err = b.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: bucket, Description: "stixbridge: payloads over 4 MiB, TLP " + level.String(), Replicas: b.replicas})
	}
	if err != nil {
		return "", fmt.Errorf("object store %s: %w", bucket, err)
	}
	h := sha256.Sum256(data)
	name := hex.EncodeToString(h[:])
	if i, err := store.GetInfo(ctx, name); err == nil && i.Size == uint64(len(data)) {
		return bucket + "/" + name, nil
	}
	if _, err := store.PutBytes(ctx, name, data); err != nil {
		return "", fmt.Errorf("object store %s: %w", bucket, err)
	}
	return bucket + "/" + name, nil
}

// Get returns a payload.
func (b *Blobs) Get(ctx context.Context, ref string) ([]byte, error) {
	bucket, name, ok := strings.Cut(ref, "/")
	if !ok {
		return nil, fmt.Errorf("payload reference %q: want bucket/name", ref)
	}
	store, err := b.js.ObjectStore(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("payload %s: %w", ref, err)
	}
	data, err := store.GetBytes(ctx, name) // the store checks the digest
	if err != nil {
		return nil, fmt.Errorf("payload %s: %w", ref, err)
	}
	return data, nil
}

// Delete removes a payload.
func (b *Blobs) Delete(ctx context.Context, ref string) error {
	bucket, name, _ := strings.Cut(ref, "/")
	store, err := b.js.ObjectStore(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("payload %s: %w", ref, err)
	}
	if err := store.Delete(ctx, name); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return fmt.Errorf("payload %s: %w", ref, err)
	}
	return nil
}
