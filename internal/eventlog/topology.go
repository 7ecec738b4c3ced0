package eventlog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/stix"
)

// Names of the streams and buckets.
const (
	StreamEvents  = "STIX"
	StreamLatest  = "STIX_LATEST"
	StreamLetters = "STIX_DLQ"
	BucketState   = "stixbridge_state"
	streamState   = "KV_" + BucketState
)

// Schema is the version of the storage layout that this program writes.
const Schema = 1

const (
	metaSchema     = "stixbridge.schema"
	metaPartitions = "stixbridge.partitions"
)

// MetaIncomplete marks a stream, in its metadata, whose content is still being copied or restored; its value says by what. Nothing may run on it.
const MetaIncomplete = "stixbridge.incomplete"

// Layout is what the configuration says about the streams.
type Layout struct {
	Replicas   int
	MaxBytes   int64
	MaxAge     time.Duration
	MaxObjects int64
	Partitions int
	// AcceptLoss allows a change of limits that drops stored events at once.
	AcceptLoss bool
}

// The server's codes for not enough storage, of the machine and of the account.
const (
	codeStorage        = 10047
	codeStorageAccount = 10002
)

// ErrWouldLose says that a changed limit would drop stored events at once.
var ErrWouldLose = errors.New("would drop stored events")

// Store is the provisioned set of streams.
type Store struct {
	Log     *Log
	Latest  *Latest
	State   *State
	Letters *Letters
	Blobs   *Blobs
	NC      *nats.Conn
	JS      jetstream.JetStream
}

// Provision makes the streams, or brings existing ones to the layout. It is idempotent. It refuses a store of a newer schema,
// a changed partition count, and limits that would drop stored events at once.
func Provision(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, l Layout) (*Store, error) {
	if l.Partitions == 0 {
		l.Partitions = 16
	}
	meta := map[string]string{metaSchema: strconv.Itoa(Schema)}
	events := jetstream.StreamConfig{
		Name: StreamEvents, Description: "stixbridge event log: STIX 2.1 change events, stix.v1.<producer>.<tlp>.<op>.<type>.<partition>",
		Subjects: []string{Prefix + "*.*.*.*.*"}, Storage: jetstream.FileStorage, Replicas: l.Replicas,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, MaxAge: l.MaxAge, MaxBytes: l.MaxBytes,
		Compression: jetstream.S2Compression, Duplicates: 5 * time.Minute, AllowAtomicPublish: true, AllowDirect: true, DenyPurge: true,
		MaxMsgSize: 8 << 20,
		Metadata:   map[string]string{metaSchema: strconv.Itoa(Schema), metaPartitions: strconv.Itoa(l.Partitions)},
	}
	if l.Replicas > 1 {
		// nats-server 2.15.2 tears a compressed block when a replica is killed and replays its log ("smb.truncate: … s2: unsupported
		// input"): the replica never joins the others again and answers as if it were alone.
		events.Compression = jetstream.NoCompression
	}
	latest := jetstream.StreamConfig{
		Name: StreamLatest, Description: "stixbridge: each object as each producer last asserted it, latest.v1.<type>.<id>.<producer>; a projection of STIX",
		Subjects: []string{"latest.v1.*.*.*", "checkpoint.v1.*"}, Storage: jetstream.FileStorage, Replicas: l.Replicas,
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, MaxMsgs: l.MaxObjects, MaxBytes: -1,
		AllowAtomicPublish: true, AllowDirect: true, AllowMsgTTL: true, Metadata: meta, Duplicates: time.Second,
	}
	letters := jetstream.StreamConfig{
		Name: StreamLetters, Description: "stixbridge dead letters: dlq.<consumer or producer>.<reason>",
		Subjects: []string{"dlq.>"}, Storage: jetstream.FileStorage, Replicas: l.Replicas,
		Discard: jetstream.DiscardOld, MaxAge: 90 * 24 * time.Hour, Duplicates: time.Hour, AllowDirect: true, Metadata: meta,
	}
	kv := jetstream.StreamConfig{
		Name: streamState, Description: "stixbridge: cursors, positions, leases, orders", Subjects: []string{"$KV." + BucketState + ".>"},
		Storage: jetstream.FileStorage, Replicas: l.Replicas, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew,
		AllowRollup: true, DenyDelete: true, AllowDirect: true, AllowAtomicPublish: true, AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Minute,
		Metadata: meta, Duplicates: time.Second,
	}
	all := []jetstream.StreamConfig{events, latest, letters, kv}
	for _, want := range all { // before anything is made beside what must not be touched
		if s, err := js.Stream(ctx, want.Name); err == nil {
			if err := readable(s.CachedInfo().Config); err != nil {
				return nil, err
			}
		}
	}
	for _, want := range all {
		if err := ensure(ctx, js, want, l); err != nil {
			return nil, err
		}
	}
	if err := spread(ctx, js, l.Replicas); err != nil {
		return nil, err
	}
	return Open(ctx, nc, js)
}

// spread brings the buckets of large payloads, which are made when they are needed, to the number of copies that the log has.
func spread(ctx context.Context, js jetstream.JetStream, replicas int) error {
	for level := stix.Unmarked; level <= stix.Red; level++ {
		s, err := js.Stream(ctx, "OBJ_"+bucketOf(level))
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err == nil && s.CachedInfo().Config.Replicas != replicas {
			c := s.CachedInfo().Config
			c.Replicas = replicas
			_, err = js.UpdateStream(ctx, c)
		}
		if err != nil {
			return fmt.Errorf("object store %s: %w", bucketOf(level), err)
		}
	}
	return nil
}

// Open binds to streams that Provision made, without changing them.
func Open(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) (*Store, error) {
	s, err := js.Stream(ctx, StreamEvents)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("no event log here yet: stream %s does not exist; `stixbridge run` makes it", StreamEvents)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", StreamEvents, err)
	}
	n, err := strconv.Atoi(s.CachedInfo().Config.Metadata[metaPartitions])
	if err != nil || n < 1 {
		return nil, fmt.Errorf("stream %s was not made by stixbridge: metadata %s is missing", StreamEvents, metaPartitions)
	}
	if err := readable(s.CachedInfo().Config); err != nil {
		return nil, err
	}
	lt, err := js.Stream(ctx, StreamLatest)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", StreamLatest, err)
	}
	dl, err := js.Stream(ctx, StreamLetters)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", StreamLetters, err)
	}
	st, err := js.KeyValue(ctx, BucketState)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", BucketState, err)
	}
	blobs := &Blobs{js: js, replicas: s.CachedInfo().Config.Replicas}
	return &Store{
		Log:     &Log{nc: nc, js: js, stream: s, partitions: n, blobs: blobs},
		Latest:  &Latest{nc: nc, js: js, stream: lt, blobs: blobs, idle: make(chan inbox, 8)},
		Letters: &Letters{nc: nc, js: js, stream: dl},
		State:   &State{nc: nc, kv: st},
		Blobs:   blobs, NC: nc, JS: js,
	}, nil
}

func readable(c jetstream.StreamConfig) error {
	if by := c.Metadata[MetaIncomplete]; by != "" {
		return fmt.Errorf("stream %s is incomplete: %s has not finished; let it, or run it again", c.Name, by)
	}
	if have, err := strconv.Atoi(c.Metadata[metaSchema]); err == nil && have > Schema {
		return fmt.Errorf("stream %s has schema %d, this program writes schema %d; use the newer stixbridge that wrote it", c.Name, have, Schema)
	}
	return nil
}

func ensure(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, l Layout) error {
	s, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if _, err = js.CreateStream(ctx, want); err != nil {
			var api *jetstream.APIError
			if errors.As(err, &api) && (api.ErrorCode == codeStorage || api.ErrorCode == codeStorageAccount) {
				return fmt.Errorf("make stream %s of %d bytes: %w; set nats.max_bytes to what the server may use", want.Name, want.MaxBytes, err)
			}
			return fmt.Errorf("make stream %s: %w", want.Name, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", want.Name, err)
	}
	info := s.CachedInfo()
	have := info.Config
	if err := readable(have); err != nil {
		return err
	}
	if h, w := have.Metadata[metaPartitions], want.Metadata[metaPartitions]; h != w {
		return fmt.Errorf("nats.partitions: the event log has %s partitions, fixed when it was made, the configuration says %s; remove the key or set %s", h, w, h)
	}
	var losing []string
	if want.MaxBytes > 0 && int64(info.State.Bytes) > want.MaxBytes {
		losing = append(losing, fmt.Sprintf("max_bytes %d, stored are %d", want.MaxBytes, info.State.Bytes))
	}
	if want.MaxAge > 0 && info.State.Msgs > 0 && want.MaxAge < have.MaxAge && time.Since(info.State.FirstTime) > want.MaxAge {
		losing = append(losing, fmt.Sprintf("max_age %v, the oldest is of %s", want.MaxAge, info.State.FirstTime.UTC().Format(time.RFC3339)))
	}
	if len(losing) > 0 && want.Name == StreamEvents && !l.AcceptLoss {
		return fmt.Errorf("%w: %s; raise the limit, or run once with --accept-loss", ErrWouldLose, strings.Join(losing, "; "))
	}
	if same(have, want) {
		return nil
	}
	merged := have // keep what an operator or a newer server added
	merged.Description, merged.Subjects, merged.MaxAge, merged.MaxBytes, merged.MaxMsgs = want.Description, want.Subjects, want.MaxAge, want.MaxBytes, want.MaxMsgs
	merged.Replicas, merged.Duplicates = want.Replicas, want.Duplicates
	if want.Name == StreamEvents {
		merged.Compression = want.Compression // of what comes from now on
	}
	merged.AllowAtomicPublish, merged.AllowDirect, merged.AllowMsgTTL = true, true, have.AllowMsgTTL || want.AllowMsgTTL
	if _, err = js.UpdateStream(ctx, merged); err != nil {
		return fmt.Errorf("bring stream %s to the configuration: %w", want.Name, err)
	}
	return nil
}

func same(have, want jetstream.StreamConfig) bool {
	unlimited := func(n int64) int64 {
		if n == 0 {
			return -1
		}
		return n
	}
	return have.Description == want.Description && strings.Join(have.Subjects, " ") == strings.Join(want.Subjects, " ") &&
		have.MaxAge == want.MaxAge && unlimited(have.MaxBytes) == unlimited(want.MaxBytes) && unlimited(have.MaxMsgs) == unlimited(want.MaxMsgs) &&
		(want.Name != StreamEvents || have.Compression == want.Compression) && have.Replicas == want.Replicas && have.Duplicates == want.Duplicates && have.AllowAtomicPublish && have.AllowDirect && have.AllowMsgTTL == want.AllowMsgTTL
}
