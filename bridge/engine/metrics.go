package engine

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/delivery"
)

// metrics exports what Status knows, read when it is scraped, and the deliveries as they happen.
type metrics struct {
	e      *Engine
	reg    *prometheus.Registry
	took   *prometheus.HistogramVec
	failed *prometheus.CounterVec
	gauges map[string]*prometheus.Desc
}

func newMetrics(e *Engine) *metrics {
	m := &metrics{e: e, reg: prometheus.NewRegistry()}
	m.took = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "stixbridge_consumer_delivery_seconds", Help: "Duration of calls of the target.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10)}, []string{"consumer"})
	m.failed = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stixbridge_consumer_retries_total", Help: "Calls of the target that failed and are tried again, by reason."}, []string{"consumer", "reason"})
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("stixbridge_"+name, help, labels, nil)
	}
	m.gauges = map[string]*prometheus.Desc{
		"events":    d("producer_events_total", "Events published, by operation.", "producer", "op"),
		"unchanged": d("producer_unchanged_total", "Objects that were no news.", "producer"),
		"rejected":  d("producer_rejected_total", "Input that could not become an event.", "producer"),
		"phealthy":  d("producer_healthy", "1 when the source can be read.", "producer"),
		"delivered": d("consumer_delivered_total", "Events delivered.", "consumer"),
		"retracted": d("consumer_retracted_total", "Deletes, expiries and retracts delivered.", "consumer"),
		"held":      d("consumer_held_total", "Events held back, by gate.", "consumer", "gate"),
		"lag":       d("consumer_lag_events", "Events of the log after the position.", "consumer"),
		"oldest":    d("consumer_oldest_seconds", "Age of the oldest event not dealt with.", "consumer"),
		"position":  d("consumer_position", "Every event up to here is dealt with.", "consumer"),
		"inflight":  d("consumer_in_flight_events", "Events with the target now.", "consumer"),
		"chealthy":  d("consumer_healthy", "1 when deliveries succeed.", "consumer"),
		"overtaken": d("consumer_overtaken_seconds", "Seconds until retention reaches the position at this pace; 0: not in sight.", "consumer"),
		"share":     d("consumer_partitions", "Partitions that this process delivers.", "consumer"),
		"late":      d("consumer_late_calls_total", "Calls that came back after this process had lost its partitions to another one.", "consumer"),
		"dead":      d("dead_letters", "Dead letters that wait.", "name"),
		"bytes":     d("log_bytes", "Size of the event log."),
		"maxbytes":  d("log_max_bytes", "Limit of the event log."),
		"first":     d("log_first_seq", "First event of the log."),
		"last":      d("log_last_seq", "Last event of the log."),
		"missing":   d("log_missing_events", "Events gone from the log that no erasure accounts for."),
		"objects":   d("latest_objects", "Objects in STIX_LATEST."),
	}
	m.reg.MustRegister(m, m.took, m.failed, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Metrics is what /metrics serves.
func (e *Engine) Metrics() prometheus.Gatherer { return e.metrics.reg }

// call notes one call of a target.
func (m *metrics) call(consumer string, c delivery.Call) {
	m.took.WithLabelValues(consumer).Observe(c.Took.Seconds())
	if c.Failed > 0 {
		m.failed.WithLabelValues(consumer, reason(c.Err)).Inc()
	}
}

// reason is one word of a closed set.
func reason(err error) string {
	_, wait := bridge.Wait(err)
	switch {
	case bridge.IsPaused(err):
		return "auth"
	case wait:
		return "rate_limited"
	case bridge.IsPermanent(err):
		return "invalid"
	default:
		return "unavailable"
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.gauges {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := m.e.Status(ctx)
	if err != nil {
		return // the event log does not answer; /healthz says so
	}
	send := func(key string, typ prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.gauges[key], typ, v, labels...)
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	for _, p := range s.Producers {
		for _, op := range []bridge.Op{bridge.Create, bridge.Update, bridge.Delete, bridge.Merge, bridge.Expire, bridge.Retract} {
			send("events", counter, float64(p.Counts[string(op)]), p.Name, string(op))
		}
		send("unchanged", counter, float64(p.Counts["unchanged"]), p.Name)
		send("rejected", counter, float64(p.Counts["rejected"]), p.Name)
		send("phealthy", gauge, one(p.Health == bridge.Healthy || p.Health == bridge.Idle), p.Name)
		send("dead", gauge, float64(p.Dead), p.Name)
	}
	for _, c := range s.Consumers {
		send("delivered", counter, float64(c.Delivered), c.Name)
		send("retracted", counter, float64(c.Retracted), c.Name)
		for g, n := range c.Held {
			send("held", counter, float64(n), c.Name, g)
		}
		send("lag", gauge, float64(c.Lag), c.Name)
		send("oldest", gauge, c.OldestAge, c.Name)
		send("position", gauge, float64(c.Position), c.Name)
		send("inflight", gauge, float64(c.InFlight), c.Name)
		send("chealthy", gauge, one(c.Health == bridge.Healthy || c.Health == bridge.Idle), c.Name)
		send("overtaken", gauge, c.Overtaken, c.Name)
		send("late", counter, float64(c.Late), c.Name)
		share := len(c.Share)
		if share == 0 && c.Members > 0 {
			share = m.e.store.Log.Partitions()
		}
		send("share", gauge, float64(share), c.Name)
		send("dead", gauge, float64(c.Dead), c.Name)
	}
	send("bytes", gauge, float64(s.Log.Bytes))
	send("maxbytes", gauge, float64(s.Log.MaxBytes))
	send("first", gauge, float64(s.Log.FirstSeq))
	send("last", gauge, float64(s.Log.LastSeq))
	send("missing", gauge, float64(s.Log.Missing))
	send("objects", gauge, float64(s.Latest.Objects))
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
