package eventlog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

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

// fresh is how old a stored payload may be to be taken as it is: an older one is stored again, so that its date is later than the log's
// oldest event for as long as an event refers to it.
const fresh = time.Hour

// Put stores a payload and returns its reference, <bucket>/<sha256>. It blocks until the payload is durable; storing the same payload again is cheap.
func (b *Blobs) Put(ctx context.Context, level stix.TLP, data []byte) (string, error) {
	bucket := bucketOf(level)
	store, err := b.js.ObjectStore(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		store, err = b.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: bucket, Description: "stixbridge: payloads over 4 MiB, TLP " + level.String(), Replicas: b.replicas})
	}
	if err != nil {
		return "", fmt.Errorf("object store %s: %w", bucket, err)
	}
	h := sha256.Sum256(data)
	name := hex.EncodeToString(h[:])
	if i, err := store.GetInfo(ctx, name); err == nil && i.Size == uint64(len(data)) && time.Since(i.ModTime) < fresh {
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
	for try := 0; ; try++ {
		data, err := store.GetBytes(ctx, name) // the store checks the digest
		if err == nil {
			return data, nil
		}
		// A replica that is behind has none of it, or not yet all.
		behind := errors.Is(err, jetstream.ErrObjectNotFound) || errors.Is(err, jetstream.ErrDigestMismatch)
		if !behind || try == lagging {
			return nil, fmt.Errorf("payload %s: %w", ref, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("payload %s: %w", ref, err)
		case <-time.After(time.Duration(try+1) * 100 * time.Millisecond):
		}
	}
}

// lagging is how often a payload that a replica does not hold is asked for again: for about 1.5 s.
const lagging = 5

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

// Sweep removes payloads that no event in the log, no latest object and no dead letter can need any more: stored before the log's oldest event, and
// referenced nowhere. It reads the heads of STIX_LATEST and the dead letters once.
func Sweep(ctx context.Context, s *Store) (removed int, err error) {
	info, err := s.Log.Info(ctx)
	if err != nil {
		return 0, err
	}
	oldest := time.Now()
	if info.State.Msgs > 0 {
		oldest = info.State.FirstTime
	}
	used := map[string]bool{}
	if err := s.Latest.Scan(ctx, "sweep", LatestFilter("*", "*"), 0, true, func(e Entry) error {
		used[e.Blob] = true
		return nil
	}); err != nil {
		return 0, err
	}
	if err := s.Letters.Scan(ctx, "", func(d Letter) error { used[d.Blob] = true; return nil }); err != nil {
		return 0, err
	}
	for level := stix.Unmarked; level <= stix.Red; level++ {
		store, err := s.JS.ObjectStore(ctx, bucketOf(level))
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			continue
		}
		if err != nil {
			return removed, err
		}
		list, err := store.List(ctx)
		if errors.Is(err, jetstream.ErrNoObjectsFound) {
			continue
		}
		if err != nil {
			return removed, fmt.Errorf("object store %s: %w", bucketOf(level), err)
		}
		for _, o := range list {
			// An hour's grace: a payload is stored before the event that refers to it.
			if used[bucketOf(level)+"/"+o.Name] || o.ModTime.After(oldest.Add(-time.Hour)) {
				continue
			}
			if err := s.Blobs.Delete(ctx, bucketOf(level)+"/"+o.Name); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

func bucketOf(level stix.TLP) string { return "stix_blobs_" + level.String() }
