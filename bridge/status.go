package bridge

import (
	"encoding/json"
	"time"
)

// Status is what the status command, the API and the status page show. All times are UTC, all ages and lags are seconds.
type Status struct {
	Version   string           `json:"version"`
	Instance  string           `json:"instance"`
	Started   time.Time        `json:"started,omitzero"` // zero when no bridge is running and the store was read directly
	Running   bool             `json:"running"`
	Log       LogStatus        `json:"log"`
	Latest    LatestStatus     `json:"latest"`
	Producers []ProducerStatus `json:"producers"`
	Consumers []ConsumerStatus `json:"consumers"`
	Problems  []string         `json:"problems,omitempty"` // what a person should act on, most urgent first
	Orphans   []string         `json:"orphans,omitempty"`  // positions and cursors of names that are no longer configured
}

// LogStatus describes the event log.
type LogStatus struct {
	Mode     string    `json:"mode"` // embedded or external
	Server   string    `json:"server"`
	FirstSeq uint64    `json:"first_seq"`
	LastSeq  uint64    `json:"last_seq"`
	Events   uint64    `json:"events"`
	Bytes    uint64    `json:"bytes"`
	MaxBytes int64     `json:"max_bytes"`
	Oldest   time.Time `json:"oldest,omitzero"`
	Newest   time.Time `json:"newest,omitzero"`
	Erased   int       `json:"erased"`
	Missing  int       `json:"missing"`        // deleted messages that no erasure accounts for: corruption
	Away     []string  `json:"away,omitempty"` // servers of the cluster that do not hold it now
}

// LatestStatus describes STIX_LATEST.
type LatestStatus struct {
	Objects uint64 `json:"objects"`
	Max     int64  `json:"max"`
	Bytes   uint64 `json:"bytes"`
}

// Health words, from best to worst.
const (
	Healthy   = "ok"
	Idle      = "idle" // polled source between runs
	Starting  = "starting"
	Retrying  = "retrying"
	Stopped   = "paused"  // by pause
	Refused   = "refused" // 401/403: probing
	Unhealthy = "error"
	Offline   = "offline" // configured, but not run by any known instance
)

// ProducerStatus describes one producer.
type ProducerStatus struct {
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`
	Health    string            `json:"health"`
	Error     string            `json:"error,omitempty"`
	Cursor    json.RawMessage   `json:"cursor,omitempty"`
	LastRun   time.Time         `json:"last_run,omitzero"`
	NextRun   time.Time         `json:"next_run,omitzero"`
	LastEvent time.Time         `json:"last_event,omitzero"`
	Counts    map[string]uint64 `json:"counts"` // create, update, unchanged, delete, merge, expire, retract, duplicate, rejected
	Types     map[string]uint64 `json:"types,omitempty"`
	Rate      float64           `json:"rate"` // events a second, last minute
	Gaps      []GapStatus       `json:"gaps,omitempty"`
	Dead      uint64            `json:"dead"` // dead letters of the intake
	Progress  *ProgressStatus   `json:"progress,omitempty"`
	Extra     map[string]any    `json:"extra,omitempty"`
}

// GapStatus is a recorded Gap.
type GapStatus struct {
	Time time.Time `json:"time"`
	Gap
}

// ProgressStatus of a run under way.
type ProgressStatus struct {
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
	Unit  string `json:"unit"`
}

// ConsumerStatus describes one sink or enricher.
type ConsumerStatus struct {
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`
	Role       string            `json:"role"` // sink or enricher
	Health     string            `json:"health"`
	Error      string            `json:"error,omitempty"` // the target's last word while it fails
	Since      time.Time         `json:"since,omitzero"`  // of this health
	Position   uint64            `json:"position"`        // every event up to here is dealt with
	Lag        uint64            `json:"lag"`             // events of the log after the position
	OldestAge  float64           `json:"oldest_age"`      // seconds since the oldest event not dealt with was stored
	InFlight   int               `json:"in_flight"`
	Rate       float64           `json:"rate"` // deliveries a second, last minute
	Delivered  uint64            `json:"delivered"`
	Retracted  uint64            `json:"retracted"`
	Held       map[string]uint64 `json:"held,omitempty"` // held back, by gate
	Retries    uint64            `json:"retries"`
	Dead       uint64            `json:"dead"` // dead letters waiting
	MaxTLP     string            `json:"max_tlp"`
	Replay     *ProgressStatus   `json:"replay,omitempty"`
	NextTry    time.Time         `json:"next_try,omitzero"`
	Overtaken  float64           `json:"overtaken_in,omitempty"` // seconds until retention reaches the position at this pace; 0: not in sight
	Extra      map[string]any    `json:"extra,omitempty"`
	Phase      string            `json:"phase,omitempty"` // snapshot while start: latest is being served, then live
	Deliveries uint64            `json:"deliveries"`      // calls of the target
	Members    int               `json:"members"`         // processes that deliver to it; each owns a share of its partitions
	Share      []int             `json:"share,omitempty"` // partitions of the answering process, when others own some
	Late       uint64            `json:"late,omitempty"`  // calls that came back after the process had lost its partitions (it was paused)
}
