// Package chaos is the fault lab: it runs real processes (three NATS servers, RabbitMQ, several bridges, targets that record), injects
// faults from a seeded schedule while data flows, and judges from the outside what came of it.
//
// The judge, the schedule and the proxies are here; the lab itself is a test, TestChaos. `go test ./internal/chaos` runs it for about two
// minutes, `make chaos CHAOS=30m` for as long as it is told, `make chaos SEED=7` with the faults of a run before. docs/reliability.md
// has what it found.
package chaos
