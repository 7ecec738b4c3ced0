package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// stand is a stand-in for a platform and for a target, in a process of its own, the same for us and for a peer: enough GraphQL for
// OpenCTI's own client to start, a live stream that plays a tape one write an event, and an HTTP sink that keeps account. The frames are made
// before, so that it costs as little as a peer can.
type stand struct {
	tape   *tape
	rate   int // events a second; 0: as fast as they are read
	answer time.Duration
	begun  atomic.Int64 // when the first event was written, ns
	ended  atomic.Int64 // when the last one was
	played atomic.Int64
	sent   []atomic.Int64
	sink   account
}

// report is what the stand-in knows, as JSON at /report.
type report struct {
	Begun  int64 // ns, first event written
	Ended  int64 // ns, last event written
	Played int64
	Sink   accounted
}

// standIn is the program of the stand-in; it serves until its input ends.
func standIn(args []string) error {
	f := flag.NewFlagSet("stand-in", flag.ContinueOnError)
	n := f.Int("events", 1000, "")
	again := f.Int("again", 0, "")
	mix := f.String("mix", mixIndicators, "")
	s := &stand{}
	f.IntVar(&s.rate, "rate", 0, "")
	f.DurationVar(&s.answer, "answer", 0, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	var err error
	if s.tape, err = record(*mix, *n, *again); err != nil {
		return err
	}
	s.sent = make([]atomic.Int64, *n)
	s.sink.open(*n, s.sent)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/graphql", graphql)
	mux.HandleFunc("/stream/", s.play)
	mux.HandleFunc("/sink", s.take)
	mux.HandleFunc("/report", s.tell)
	fmt.Printf("http://%s\n", l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whoever started us holds the other end
		os.Exit(0)
	}()
	return http.Serve(l, mux)
}

// graphql answers what OpenCTI's client asks before it listens.
func graphql(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Query     string
		Variables map[string]any
	}
	_ = json.NewDecoder(r.Body).Decode(&q)
	id := "5f5f5f5f-0000-4000-8000-0000000000aa"
	data := map[string]any{}
	switch {
	case strings.Contains(q.Query, "registerConnector"):
		data["registerConnector"] = map[string]any{
			"id": id, "connector_state": nil, "connector_user_id": id,
			// a throw-away public key: the client refuses an empty set
			"jwks": `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"icEE2aqTOwp2e9TO-cTnrBYhYpVIAN1Y8-8l2Ne6hvs","use":"sig","alg":"EdDSA","kid":"k"}]}`,
			"config": map[string]any{
				"connection": map[string]any{"host": "127.0.0.1", "vhost": "/", "use_ssl": false, "port": 5672, "user": "guest", "pass": "guest"},
				"s3":         map[string]any{"endpoint": "127.0.0.1", "port": 9000, "use_ssl": false, "bucket_name": "b", "bucket_region": "r", "access_key": "x", "secret_key": "x"},
				"listen":     "l", "listen_routing": "l", "listen_exchange": "l", "listen_callback_uri": nil, "push": "p", "push_routing": "p", "push_exchange": "p", "dead_letter_routing": "d",
			},
		}
	case strings.Contains(q.Query, "pingConnector"):
		data["pingConnector"] = map[string]any{"id": id, "connector_state": q.Variables["state"], "connector_info": nil}
	default:
		data["about"] = map[string]any{"version": "7.261026.0"}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

// play plays the tape to one connection, from its Last-Event-ID on, then beats until the client is gone.
func (s *stand) play(w http.ResponseWriter, r *http.Request) {
	from := 0
	if ms, _, _ := strings.Cut(r.Header.Get("Last-Event-ID"), "-"); ms != "" {
		if n, err := strconv.ParseInt(ms, 10, 64); err == nil && n >= firstEvent {
			from = int(n-firstEvent) + 1
		}
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	out := bufio.NewWriter(conn)
	fmt.Fprint(out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache, no-transform\r\nTransfer-Encoding: chunked\r\n\r\n")
	last := firstEvent + len(s.tape.frames) - 1
	_, _ = out.Write(chunk(fmt.Appendf(nil, "event: connected\ndata: {\"firstEventId\":\"%d-0\",\"lastEventId\":\"%d-0\",\"streamSize\":%d,\"connectionId\":\"c\"}\n\n", firstEvent, last, len(s.tape.frames))))
	if out.Flush() != nil {
		return
	}
	start := time.Now()
	for i := from; i < len(s.tape.frames); i++ {
		if s.rate > 0 {
			time.Sleep(time.Until(start.Add(time.Duration(i-from) * time.Second / time.Duration(s.rate))))
		}
		if s.rate > 0 || i == from || i == len(s.tape.frames)-1 {
			now := time.Now().UnixNano()
			s.sent[i].Store(now)
			s.begun.CompareAndSwap(0, now)
			if i == len(s.tape.frames)-1 {
				s.ended.CompareAndSwap(0, now)
			}
		}
		if _, err := conn.Write(s.tape.frames[i]); err != nil {
			return
		}
		s.played.Store(int64(i + 1))
	}
	for {
		beat := fmt.Sprintf("id: %d-0\nevent: heartbeat\ndata: \"x\"\n\n", last)
		if _, err := conn.Write(chunk([]byte(beat))); err != nil {
			return
		}
		time.Sleep(5 * time.Second)
	}
}

// take is the target.
func (s *stand) take(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if s.answer > 0 {
		time.Sleep(s.answer)
	}
	s.sink.note(now, body)
}

func (s *stand) tell(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(report{Begun: s.begun.Load(), Ended: s.ended.Load(), Played: s.played.Load(), Sink: s.sink.report()})
}

// account is what a target knows about what it got.
type account struct {
	mu     sync.Mutex
	sent   []atomic.Int64
	seen   []bool
	newest map[int]int // version of each object
	got    accounted
	high   int
	delays []time.Duration
}

// accounted is an account's report.
type accounted struct {
	Requests int
	Events   int // different ones
	Repeated int
	Older    int // versions that came after a newer one of the same object
	Behind   int // events that came after one that the source sent later
	First    int64
	Last     int64         // ns; of the answer to the request that brought the last new event
	P50, P99 time.Duration // from the byte at the source to the call of the target; only with a rate
	Max      time.Duration
}

func (a *account) open(n int, sent []atomic.Int64) {
	a.seen, a.newest, a.sent, a.high = make([]bool, n), map[int]int{}, sent, -1
}

func (a *account) note(arrived time.Time, body []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got.Requests++
	if a.got.First == 0 {
		a.got.First = arrived.UnixNano()
	}
	marks(body, func(m mark) {
		if m.event < 0 || m.event >= len(a.seen) {
			return
		}
		if a.seen[m.event] {
			a.got.Repeated++
			return
		}
		a.seen[m.event] = true
		a.got.Events++
		if at := a.sent[m.event].Load(); at > 0 {
			a.delays = append(a.delays, time.Duration(arrived.UnixNano()-at))
		}
		if m.event < a.high {
			a.got.Behind++
		}
		a.high = max(a.high, m.event)
		if m.version < a.newest[m.object] {
			a.got.Older++
		}
		a.newest[m.object] = max(a.newest[m.object], m.version)
		a.got.Last = time.Now().UnixNano()
	})
}

func (a *account) report() accounted {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.got
	r.P50, r.P99, r.Max = quantiles(a.delays)
	return r
}
