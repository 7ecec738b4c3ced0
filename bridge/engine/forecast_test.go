package engine

import (
	"math"
	"testing"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

func TestForecast(t *testing.T) {
	now := time.Now()
	log := func(history time.Duration, events, bytes, limit float64) bridge.LogStatus {
		return bridge.LogStatus{FirstSeq: 1, LastSeq: uint64(events), Events: uint64(events), Bytes: uint64(bytes), MaxBytes: int64(limit), Oldest: now.Add(-history), Newest: now}
	}
	const day = 24 * 3600.0
	for _, c := range []struct {
		name     string
		f        forecast
		consumer bridge.ConsumerStatus
		want     float64 // seconds, within a hundredth
	}{
		{"nothing waits", forecast{log: log(time.Hour, 1e6, 1e9, 2e9), growth: 100, maxAge: 30 * 24 * time.Hour}, bridge.ConsumerStatus{Position: 1e6}, 0},
		{"10 a second behind 10,000 a second: a million events of room, less what it still does", forecast{log: log(100*time.Second, 1e6, 1e9, 2e9), growth: 10_000},
			bridge.ConsumerStatus{Position: 1000, Lag: 999_000, Rate: 10}, 100.2},
		{"the log is full: only what was read already may go", forecast{log: log(time.Hour, 1e6, 2e9, 2e9), growth: 1000}, bridge.ConsumerStatus{Position: 100_000, Lag: 900_000}, 100},
		{"it reads as fast as the log grows", forecast{log: log(time.Hour, 1e6, 1e9, 2e9), growth: 50}, bridge.ConsumerStatus{Lag: 1000, Rate: 50}, 0},
		{"the first seconds of an import say nothing", forecast{log: log(5*time.Second, 1e5, 1e8, 2e9), growth: 20_000}, bridge.ConsumerStatus{Lag: 1e5}, 0},
		{"two minutes say nothing about next week", forecast{log: log(2*time.Minute, 1e5, 1e8, 100e9), growth: 100}, bridge.ConsumerStatus{Lag: 1e5}, 0},
		{"dead for a day under a month of retention: 29 days are left", forecast{log: log(20*24*time.Hour, 1e6, 1e9, 0), growth: 1, maxAge: 30 * 24 * time.Hour},
			bridge.ConsumerStatus{Lag: 86_400, OldestAge: day}, 29 * day},
		{"at half the pace a day's age takes two", forecast{log: log(20*24*time.Hour, 1e6, 1e9, 0), growth: 1, maxAge: 30 * 24 * time.Hour},
			bridge.ConsumerStatus{Lag: 86_400, OldestAge: day, Rate: 0.5}, 58 * day},
		{"it catches up: age does not reach it", forecast{log: log(20*24*time.Hour, 1e6, 1e9, 0), growth: 1, maxAge: 30 * 24 * time.Hour},
			bridge.ConsumerStatus{Lag: 86_400, OldestAge: day, Rate: 2}, 0},
		{"the source is silent, the sink dead: size does not matter, age does", forecast{log: log(10*24*time.Hour, 1e6, 1e9, 1.1e9), maxAge: 10 * 24 * time.Hour},
			bridge.ConsumerStatus{Lag: 1e6, OldestAge: 9.5 * day}, day / 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.f.overtaken(c.consumer); math.Abs(got-c.want) > c.want/100 {
				t.Errorf("in %v s, want %v", got, c.want)
			}
		})
	}
}

func TestDays(t *testing.T) {
	for seconds, want := range map[float64]string{3*24*3600 + 4*3600 + 5: "3 d 4 h", 2*3600 + 10*60: "2 h 10 min", 90: "1 min", 40: "40 s"} {
		if got := days(seconds); got != want {
			t.Errorf("%v s are %q, want %q", seconds, got, want)
		}
	}
}
