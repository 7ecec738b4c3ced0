package bridge

import "encoding/json"

// Config is the whole configuration after loading: values expanded, defaults filled in, validated.
type Config struct {
	NATS      NATSConfig        `json:"nats,omitempty" jsonschema:"description=The event log's NATS JetStream server: embedded (dir) or external (url)."`
	HTTP      HTTPConfig        `json:"http,omitempty" jsonschema:"description=Status page\\, metrics and API."`
	OpenCTI   OpenCTIConfig     `json:"opencti,omitempty" jsonschema:"description=The OpenCTI platform that opencti and opencti-live use unless they name their own."`
	Log       LogConfig         `json:"log,omitempty" jsonschema:"description=Logging."`
	Producers []json.RawMessage `json:"producers,omitempty"`
	Consumers []json.RawMessage `json:"consumers,omitempty"`
}

// NATSConfig says where the event log lives.
type NATSConfig struct {
	Dir      string   `json:"dir,omitempty" jsonschema:"description=Directory of the embedded server's store\\, and of the bridge's own files. Default ./data."`
	Listen   string   `json:"listen,omitempty" jsonschema:"description=Address of the embedded server. Default 127.0.0.1:4222. Port 0 picks a free one."`
	URL      string   `json:"url,omitempty" jsonschema:"description=Servers of an external NATS cluster\\, comma separated. Excludes the embedded server."`
	Context  string   `json:"context,omitempty" jsonschema:"description=Name of a NATS context (as the nats command line keeps them) that holds address and credentials."`
	Creds    string   `json:"creds,omitempty" jsonschema:"description=Credentials file for the external server."`
	NKey     string   `json:"nkey,omitempty" jsonschema:"description=NKey seed file for the external server."`
	User     string   `json:"user,omitempty"`
	Password Secret   `json:"password,omitempty"`
	Token    Secret   `json:"token,omitempty"`
	TLS      TLS      `json:"tls,omitempty"`
	Replicas int      `json:"replicas,omitempty" jsonschema:"minimum=1,maximum=5,description=Replicas of each stream on an external cluster. Default 3 there\\, always 1 embedded."`
	MaxBytes Size     `json:"max_bytes,omitempty" jsonschema:"description=Size of the event log. Default: half of the free disk\\, at most 100GiB; 10GiB on an external server."`
	MaxAge   Duration `json:"max_age,omitempty" jsonschema:"description=How long the event log keeps events. Default 30d."`
	MaxKeys  int      `json:"max_objects,omitempty" jsonschema:"minimum=1,description=Most distinct objects kept in STIX_LATEST (about 0.4 KiB of memory each). Default 5000000."`
	// Partitions of the event log; fixed when it is made.
	Partitions int `json:"partitions,omitempty" jsonschema:"minimum=1,maximum=256,description=Partitions of the event log\\, fixed when it is made. Default 16."`
}

// TLS of a client.
type TLS struct {
	CA       string `json:"ca,omitempty" jsonschema:"description=PEM file with the authorities to trust."`
	Cert     string `json:"cert,omitempty" jsonschema:"description=PEM file with the client certificate."`
	Key      string `json:"key,omitempty" jsonschema:"description=PEM file with the client key."`
	Insecure bool   `json:"insecure,omitempty" jsonschema:"description=Do not verify the server. For tests only."`
}

// HTTPConfig of the status page.
type HTTPConfig struct {
	Listen string     `json:"listen,omitempty" jsonschema:"description=Address of status page\\, /metrics\\, /healthz\\, /readyz and /api/v1. Default 127.0.0.1:8321. The word off disables it."`
	Tokens HTTPTokens `json:"tokens,omitempty" jsonschema:"description=Required when listening elsewhere than on loopback."`
}

// HTTPTokens of the status page and API.
type HTTPTokens struct {
	Viewer   Secret `json:"viewer,omitempty" jsonschema:"description=May read."`
	Operator Secret `json:"operator,omitempty" jsonschema:"description=May also pause and resume consumers."`
}

// OpenCTIConfig names a platform.
type OpenCTIConfig struct {
	URL   string `json:"url,omitempty" jsonschema:"format=uri,description=Base URL of the platform. Environment: OPENCTI_URL."`
	Token Secret `json:"token,omitempty" jsonschema:"description=API token. Environment: OPENCTI_TOKEN or OPENCTI_TOKEN_FILE."`
	TLS   TLS    `json:"tls,omitempty"`
}

// LogConfig of slog.
type LogConfig struct {
	Level  string `json:"level,omitempty" jsonschema:"enum=debug,enum=info,enum=warn,enum=error,description=Default info."`
	Format string `json:"format,omitempty" jsonschema:"enum=auto,enum=json,enum=text,description=auto: text on a terminal\\, JSON elsewhere."`
}

// ProducerConfig holds the keys that every producer has, whatever its kind.
type ProducerConfig struct {
	Kind      string   `json:"kind" jsonschema:"description=What kind of source this is."`
	Name      string   `json:"name" jsonschema:"pattern=^[a-z0-9][a-z0-9-]*$,description=The producer's identity: second token of every subject. Unique across producers and consumers."`
	Was       string   `json:"was,omitempty" jsonschema:"description=Former name\\, after a rename: cursor and known objects move."`
	Every     Duration `json:"every,omitempty" jsonschema:"description=Pause between two runs of a polled source. Without it the source is read once."`
	TLP       string   `json:"tlp,omitempty" jsonschema:"description=Level of objects that carry no TLP marking: clear\\, green\\, amber\\, amber+strict\\, red."`
	Strict    bool     `json:"strict,omitempty" jsonschema:"description=Refuse objects that the STIX specification forbids (they become dead letters). Default: report and pass on."`
	MaxDelete string   `json:"max_delete,omitempty" jsonschema:"pattern=^[0-9]{1\\,3}%$,description=A complete read that would delete more than this share (and more than one object) stops with an error instead. Default 10%."`
}

// ConsumerConfig holds the keys that every sink and enricher has, whatever its kind.
type ConsumerConfig struct {
	Kind          string   `json:"kind" jsonschema:"description=What kind of target this is."`
	Name          string   `json:"name" jsonschema:"pattern=^[a-z0-9][a-z0-9-]*$,description=The consumer's identity: its position is kept under it. Unique across producers and consumers."`
	Was           string   `json:"was,omitempty" jsonschema:"description=Former name\\, after a rename: the position moves."`
	Start         string   `json:"start,omitempty" jsonschema:"description=Where a new consumer begins: new\\, latest (each object once)\\, all\\, or an RFC 3339 time."`
	Producers     []string `json:"producers,omitempty" jsonschema:"description=Gate: only events of these producers; * for all. Required where the target leaves the house."`
	Types         []string `json:"types,omitempty" jsonschema:"description=Gate: only these STIX types."`
	Ops           []Op     `json:"ops,omitempty" jsonschema:"description=Gate: only these operations (create\\, update\\, delete\\, merge\\, expire). A retract always passes."`
	Where         string   `json:"where,omitempty" jsonschema:"description=Gate: expression over the object\\, e.g. score() >= 70 and 'apt' in labels()."`
	Changed       []string `json:"changed,omitempty" jsonschema:"description=Gate: an update passes only when it touched one of these properties."`
	MaxTLP        string   `json:"max_tlp,omitempty" jsonschema:"description=Gate: highest TLP that may leave. Default red\\, or green where the target leaves the house."`
	UnmarkedAs    string   `json:"unmarked_as,omitempty" jsonschema:"description=What an object without TLP counts as. Default amber."`
	AllowMarkings []string `json:"allow_markings,omitempty" jsonschema:"description=Gate: marking ids or names that may leave although the gate does not know them; * for any."`
	Organizations []string `json:"organizations,omitempty" jsonschema:"description=Gate: identities this target may serve; an object that is shared with named organizations only passes for these."`
	Expired       bool     `json:"expired,omitempty" jsonschema:"description=Let objects pass whose valid_until was already over when they came in."`
	Backfill      *bool    `json:"backfill,omitempty" jsonschema:"description=Deliver events of a first import or a recovery. Default true\\, false for tickets."`
	Prefer        []string `json:"prefer,omitempty" jsonschema:"description=Producers in order of preference\\, where several assert the same object."`
	OnDelete      string   `json:"on_delete,omitempty" jsonschema:"enum=auto,enum=ignore,enum=revoke,enum=delete,description=What a delete\\, expire or retract means at the target. Default auto."`
	Concurrency   int      `json:"concurrency,omitempty" jsonschema:"minimum=1,maximum=64,description=Deliveries under way at once. Order per object is kept. Default 1\\, 4 for opencti."`
	Batch         int      `json:"batch,omitempty" jsonschema:"minimum=1,maximum=10000,description=Most events in one delivery."`
	Timeout       Duration `json:"timeout,omitempty" jsonschema:"description=Longest time of one delivery. Default 60s."`
	Protect       bool     `json:"protect,omitempty" jsonschema:"description=The event log must not drop what this consumer has not read: when the log is nearly full\\, producers wait."`
	ReplayRate    int      `json:"replay_rate,omitempty" jsonschema:"minimum=1,description=Most events a second of a replay. Default 1000."`
}
