package subscriber

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/eventlog"
	"github.com/stixbridge/stixbridge/stix"
)

// hidden is in everything that a subscriber with the ceiling green must not see, in whatever form.
const hidden = "CANARY"

// haul is all that a connection received, as text: subject, headers, body.
type haul struct {
	mu  sync.Mutex
	all []string
	err []string
}

func (h *haul) take(m *nats.Msg) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", m.Subject, m.Reply)
	_ = http.Header(m.Header).Write(&b)
	b.Write(m.Data)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, b.String())
}

// with lists what holds a text.
func (h *haul) with(text string) (found []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.all {
		if strings.Contains(s, text) {
			found = append(found, s)
		}
	}
	return found
}

func (h *haul) complain(_ *nats.Conn, _ *nats.Subscription, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = append(h.err, err.Error())
}

func (h *haul) complaints() int { h.mu.Lock(); defer h.mu.Unlock(); return len(h.err) }

// question is a request that reads.
type question struct {
	what          string
	subject, body string
}

// secrets fills every place of the house with what a green subscriber must not see, and returns requests that read each of them.
func (r *rig) secrets() (ask []question) {
	r.t.Helper()
	ctx := r.t.Context()
	js := func(err error) {
		r.t.Helper()
		if err != nil {
			r.t.Fatal(err)
		}
	}
	var seq uint64
	var subject string
	for _, level := range []stix.TLP{stix.Unmarked, stix.Amber, stix.AmberStrict, stix.Red} {
		seq = r.event("secret-canary", level, bridge.Create, "malware", hidden+"-"+level.String())
	}
	m, err := r.store.Log.Info(ctx)
	js(err)
	_ = m
	raw, ok, err := r.store.Log.Get(ctx, seq)
	js(err)
	if !ok {
		r.t.Fatal("no event")
	}
	subject = raw.Subject.String()

	latest := "latest.v1.malware.malware--1.secret"
	for subject, text := range map[string]string{
		latest: hidden + "-latest", "checkpoint.v1.secret": hidden + "-checkpoint", "dlq.soc.poison": hidden + "-dlq",
	} {
		_, err := r.store.JS.Publish(ctx, subject, []byte(text))
		js(err)
	}
	_, err = r.store.State.Put(ctx, "cursor.secret", hidden+"-state")
	js(err)
	red, err := r.store.Blobs.Put(ctx, stix.Red, []byte(strings.Repeat(hidden+"-blob ", 100)))
	js(err)
	_, sha, _ := strings.Cut(red, "/")
	bucket, err := r.store.JS.ObjectStore(ctx, "stix_blobs_red")
	js(err)
	info, err := bucket.GetInfo(ctx, sha)
	js(err)

	// Orders, and an answer to them.
	for _, s := range []string{"stixbridge.v1.ctl.status", "$SRV.PING", "$SRV.INFO.stixbridge"} {
		sub, err := r.store.NC.Subscribe(s, func(m *nats.Msg) { _ = m.Respond([]byte(hidden + "-control")) })
		js(err)
		r.t.Cleanup(func() { _ = sub.Unsubscribe() })
	}
	get := func(what, stream, subject string, seq uint64) {
		ask = append(ask,
			question{what, "$JS.API.STREAM.MSG.GET." + stream, fmt.Sprintf(`{"last_by_subj":%q}`, subject)},
			question{what, "$JS.API.DIRECT.GET." + stream, fmt.Sprintf(`{"last_by_subj":%q}`, subject)},
			question{what, "$JS.API.DIRECT.GET." + stream, `{"next_by_subj":">","seq":1,"batch":100}`},
			question{what, "$JS.API.DIRECT.GET." + stream, `{"multi_last":[">"],"batch":100}`},
			question{what, "$JS.API.DIRECT.GET." + stream + "." + subject, ""},
			question{what, "$JS.API.STREAM.MSG.GET." + stream, fmt.Sprintf(`{"seq":%d}`, max(seq, 1))},
			question{what, "$JS.API.DIRECT.GET." + stream, fmt.Sprintf(`{"seq":%d}`, max(seq, 1))},
			question{what, "$JS.API.STREAM.INFO." + stream, `{"subjects_filter":">"}`},
		)
	}
	get("events", eventlog.StreamEvents, subject, seq)
	get("latest objects", eventlog.StreamLatest, latest, 0)
	get("dead letters", eventlog.StreamLetters, "dlq.soc.poison", 0)
	get("state", "KV_"+eventlog.BucketState, "$KV."+eventlog.BucketState+".cursor.secret", 0)
	get("payloads", "OBJ_stix_blobs_red", "$O.stix_blobs_red.C."+info.NUID, 0)
	ask = append(ask,
		question{"events", "$JS.API.CONSUMER.MSG.NEXT.STIX.beta", `{"batch":50,"no_wait":true}`},
		question{"payloads", Services + ".beta.blob", red},
		question{"control", "stixbridge.v1.ctl.status", "{}"}, question{"control", "$SRV.PING", ""}, question{"control", "$SRV.INFO.stixbridge", ""},
	)
	for i, c := range []string{ // consumers of one's own, made and read
		`{"stream_name":"STIX","config":{"name":"wide%d","deliver_policy":"all","ack_policy":"none","mem_storage":true,"inactive_threshold":60000000000}}`,
		`{"stream_name":"STIX","config":{"name":"wide%d","deliver_policy":"all","ack_policy":"none","filter_subject":"stix.v1.*.red.>","inactive_threshold":60000000000}}`,
	} {
		name := fmt.Sprintf("wide%d", i)
		ask = append(ask, question{"events", "$JS.API.CONSUMER.CREATE.STIX." + name, fmt.Sprintf(c, i)},
			question{"events", "$JS.API.CONSUMER.MSG.NEXT.STIX." + name, `{"batch":100,"no_wait":true}`})
	}
	return ask
}

// known are the ways in which a request may be put from another account.
func known(subject string) []string {
	return []string{
		subject, APIPrefix + "." + strings.TrimPrefix(subject, "$JS.API."), APIPrefix + "." + subject, "HUB." + subject, "$G." + subject,
		strings.Replace(subject, "beta", "gamma", 1), strings.Replace(subject, "beta", "*", 1),
	}
}

// books is the state of everything that the subscriber gamma must not change.
func (r *rig) books() map[string]string {
	r.t.Helper()
	ctx := r.t.Context()
	state := map[string]string{}
	list := r.store.JS.ListStreams(ctx)
	for i := range list.Info() {
		s, err := r.store.JS.Stream(ctx, i.Config.Name)
		if err != nil {
			r.t.Fatal(err)
		}
		state[i.Config.Name] = fmt.Sprintf("%+v %d %d %d %d", i.Config, i.State.Msgs, i.State.FirstSeq, i.State.LastSeq, i.State.NumDeleted)
		h := sha256.New()
		for seq := i.State.FirstSeq; seq <= i.State.LastSeq; seq++ {
			m, err := s.GetMsg(ctx, seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			}
			if err != nil {
				r.t.Fatal(err)
			}
			fmt.Fprintf(h, "%d %s %v %s\n", seq, m.Subject, m.Header, m.Data)
		}
		state[i.Config.Name+" content"] = hex.EncodeToString(h.Sum(nil))
		consumers := s.ListConsumers(ctx)
		for c := range consumers.Info() {
			if c.Config.Durable == "" && strings.HasPrefix(i.Config.Name, "KV_") {
				continue // our own watches come and go
			}
			k := i.Config.Name + " consumer " + c.Name
			c.Config.Metadata = nil
			state[k] = fmt.Sprintf("%v %v %s %d %v", c.Config.FilterSubjects, c.Config.FilterSubject, c.Config.Description, c.Config.MaxAckPending, c.PauseRemaining)
			if c.Name != "gamma" { // its position is gamma's own business
				state[k] += fmt.Sprintf(" %d %d %d %d", c.Delivered.Stream, c.AckFloor.Stream, c.NumAckPending, c.NumPending)
			}
		}
		if err := consumers.Err(); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := list.Err(); err != nil {
		r.t.Fatal(err)
	}
	return state
}

// changes are requests that change something, in the words of the bridge's own account.
func (r *rig) changes() (all []question) {
	add := func(subject, body string) { all = append(all, question{"", subject, body}) }
	for _, stream := range []string{"STIX", "STIX_LATEST", "STIX_DLQ", "KV_stixbridge_state", "OBJ_stix_blobs_red"} {
		add("$JS.API.STREAM.PURGE."+stream, "")
		add("$JS.API.STREAM.MSG.DELETE."+stream, `{"seq":1}`)
		add("$JS.API.STREAM.UPDATE."+stream, `{"name":"`+stream+`","subjects":["x.>"],"max_msgs":1}`)
		add("$JS.API.STREAM.SNAPSHOT."+stream, `{"deliver_subject":"_INBOX.attack.snapshot"}`)
		add("$JS.API.STREAM.DELETE."+stream, "")
	}
	add("$JS.API.STREAM.CREATE.MINE", `{"name":"MINE","subjects":["mine.>"],"sources":[{"name":"STIX"}]}`)
	add("$JS.API.STREAM.CREATE.MIRROR", `{"name":"MIRROR","mirror":{"name":"STIX","external":{"api":"stixbridge"}}}`)
	for _, name := range []string{"beta", "gamma"} {
		add("$JS.API.CONSUMER.DELETE.STIX."+name, "")
		add("$JS.API.CONSUMER.PAUSE.STIX."+name, `{"pause_until":"2099-01-01T00:00:00Z"}`)
		add("$JS.API.CONSUMER.RESET.STIX."+name, `{"seq":1}`)
		add("$JS.API.CONSUMER.UNPIN.STIX."+name, `{"group":"a"}`)
		add("$JS.API.CONSUMER.LEADER.STEPDOWN.STIX."+name, "")
		c, err := r.store.JS.Consumer(r.t.Context(), eventlog.StreamEvents, name)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, widen := range []func(*jetstream.ConsumerConfig){
			func(c *jetstream.ConsumerConfig) { c.FilterSubject, c.FilterSubjects = "stix.v1.>", nil },
			func(c *jetstream.ConsumerConfig) { c.FilterSubject, c.FilterSubjects = "stix.v1.*.red.>", nil },
			func(c *jetstream.ConsumerConfig) { c.FilterSubjects = []string{"stix.v1.*.red.>", "stix.v1.*.green.>"} },
			func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 7 },
		} {
			wide := c.CachedInfo().Config
			widen(&wide)
			b, err := json.Marshal(map[string]any{"stream_name": "STIX", "action": "update", "config": wide})
			if err != nil {
				r.t.Fatal(err)
			}
			config := string(b)
			add("$JS.API.CONSUMER.CREATE.STIX."+name, config)
			add("$JS.API.CONSUMER.DURABLE.CREATE.STIX."+name, config)
			add("$JS.API.CONSUMER.CREATE.STIX."+name+".stix.v1.*.red.>", config)
		}
	}
	for _, subject := range []string{
		"stix.v1.feed.green.create.malware.1", "stix.v1.feed.red.delete.malware.1", "latest.v1.malware.malware--1.secret", "checkpoint.v1.secret",
		"dlq.soc.poison", "$KV.stixbridge_state.cursor.secret", "$KV.stixbridge_state.paused.soc", "$KV.stixbridge_state.subscriber.gamma", "$O.stix_blobs_green.M.x",
		"$JS.ACK.STIX.beta.1.1.1.1.0", "$JS.ACK.STIX.beta.1.2.2.1.0", "$JS.ACK.STIX.*.1.1.1.1.0", "stixbridge.v1.ctl.replay", "stixbridge.v1.ctl.redrive", "_INBOX.beta",
		"$JS.FC.STIX.beta.x", "$SYS.REQ.SERVER.PING", "$SYS.ACCOUNT.$G.CONNECT",
	} {
		add(subject, `{"forged":true}`)
		add(subject, "")
	}
	return all
}

// A hostile subscriber with the ceiling green tries everything that raw NATS offers. It must read nothing above its ceiling, in subjects,
// headers, bodies, payloads or state, and change nothing but its own position.
func TestAHostileSubscriberReadsNothingAboveItsCeilingAndChangesNothing(t *testing.T) {
	bothBrokers(t, attack)
}

func attack(t *testing.T, r *rig) {
	ctx := t.Context()
	var green uint64
	for range 250 { // tricks with replies lose some of them
		green = r.event("feed", stix.Green, bridge.Create, "malware", "open")
	}
	ask := r.secrets()
	openBlob, err := r.store.Blobs.Put(ctx, stix.Green, bytes.Repeat([]byte("open "), 1000))
	if err != nil {
		t.Fatal(err)
	}
	redBlob := ""
	for _, q := range ask {
		if strings.HasPrefix(q.body, "stix_blobs_red/") {
			redBlob = q.body
		}
	}
	betaPass := r.add(Subscriber{Name: "beta", MaxTLP: stix.Red})
	pass := r.add(Subscriber{Name: "gamma", MaxTLP: stix.Green})

	// The control: what the attacker asks for, asked by the house itself, is answered with what must stay hidden.
	var house haul
	inbox := r.store.NC.NewInbox()
	sub, err := r.store.NC.Subscribe(inbox+".*", house.take)
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range ask {
		if strings.Contains(q.subject, "beta") {
			continue // below, with the login that it is for
		}
		if err := r.store.NC.PublishRequest(q.subject, fmt.Sprintf("%s.%d", inbox, i), []byte(q.body)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"-red", "-amber", "-unmarked", "-latest", "-dlq", "-control"} {
		await(t, func() error {
			if len(house.with(hidden+want)) == 0 {
				return fmt.Errorf("the house itself does not find %s%s: the test asks in the wrong way", hidden, want)
			}
			return nil
		})
	}
	for i, q := range ask {
		if q.what == "state" || q.what == "payloads" {
			await(t, func() error {
				if len(house.with(fmt.Sprintf("%s.%d ", inbox, i))) == 0 && !strings.Contains(q.subject, "beta") {
					return fmt.Errorf("the house gets no answer to %s", q.subject)
				}
				return nil
			})
		}
	}
	_ = sub.Unsubscribe()
	for i := range 2 {
		_ = r.store.JS.DeleteConsumer(ctx, eventlog.StreamEvents, fmt.Sprintf("wide%d", i))
	}
	beta := r.login("beta", betaPass)
	if m, err := beta.Request(APIPrefix+".BLOB", []byte(redBlob), 10*time.Second); err != nil || !bytes.Contains(m.Data, []byte(hidden)) {
		t.Fatalf("who may see red gets no red payload: %v", err)
	}
	if all := r.drain(r.durable(beta, "beta")); !strings.Contains(texts(all), hidden+"-red") {
		t.Fatalf("who may see red receives %v", all)
	}

	var loot haul
	gamma := r.login("gamma", pass, nats.ErrorHandler(loot.complain), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
	mine, err := gamma.Subscribe("_INBOX.attack.>", loot.take)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mine.Unsubscribe() }()

	// Listening: to everything that passes, live events above the ceiling among it.
	for _, s := range []string{
		">", "*", "*.>", "stix.>", "stix.v1.>", "stix.v1.*.red.>", "$JS.>", "$JS.API.>", "$JS.EVENT.>", "$JS.EVENT.ADVISORY.>", "$JS.ACK.>", "$JS.FC.>", "$SYS.>", "$SRV.>", "$KV.>", "$O.>",
		"latest.>", "dlq.>", "stixbridge.>", "stixbridge.v1.ctl.>", Services + ".>", "_R_.>", "_GR_.>", "$NRG.>", "HUB.>", "_INBOX", "_INBOX_.>", "$G.>",
	} {
		for _, f := range []func() (*nats.Subscription, error){
			func() (*nats.Subscription, error) { return gamma.Subscribe(s, loot.take) },
			func() (*nats.Subscription, error) { return gamma.QueueSubscribe(s, "stixbridge", loot.take) },
		} {
			if _, err := f(); err != nil {
				t.Logf("subscribe %s: %v", s, err)
			}
		}
	}
	everything, err := gamma.Subscribe("_INBOX.>", loot.take) // its own account's, and nobody else's
	if err != nil {
		t.Fatal(err)
	}
	if err := gamma.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		r.event("secret-canary", stix.Red, bridge.Update, "malware", hidden+"-live")
	}
	few, err := r.durable(beta, "beta").FetchNoWait(3) // answers pass to another subscriber's inbox meanwhile
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for m := range few.Messages() {
		passed++
		if err := m.DoubleAck(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if passed != 3 {
		t.Fatalf("beta received %d events", passed)
	}
	var owed []string // events that beta has and has not acknowledged: only beta may
	held, err := r.durable(beta, "beta").FetchNoWait(1)
	if err != nil {
		t.Fatal(err)
	}
	for m := range held.Messages() {
		owed = append(owed, m.Reply())
	}
	before := r.books()

	// Reading: every request of the control, in every way that it may be put.
	n := 0
	send := func(subject, reply, body string, h nats.Header) {
		t.Helper()
		n++
		if reply == "" {
			reply = fmt.Sprintf("_INBOX.attack.%d", n)
		}
		m := &nats.Msg{Subject: subject, Reply: reply, Data: []byte(body), Header: h}
		for gamma.PublishMsg(m) != nil { // turned out and back again
			time.Sleep(time.Millisecond)
			if ctx.Err() != nil {
				t.Fatal(ctx.Err())
			}
		}
	}
	for _, q := range ask {
		for _, s := range known(q.subject) {
			send(s, "", q.body, nil)
		}
	}
	for _, s := range []string{
		"$JS.API.INFO", "$JS.API.ACCOUNT.PURGE.$G", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.CONSUMER.NAMES.STIX", "$JS.API.CONSUMER.LIST.STIX", "$JS.API.CONSUMER.INFO.STIX.beta",
		"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.SERVER.PING.JSZ", "$SYS.REQ.SERVER.PING.SUBSZ", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.SUBSZ",
		"$SYS.REQ.ACCOUNT.$G.CONNZ", "$SYS.REQ.ACCOUNT.HUB.CONNZ", "$SYS.REQ.USER.INFO",
	} {
		for _, put := range known(s) {
			send(put, "", `{"subscriptions":true,"acc":"$G"}`, nil)
		}
	}
	pull, blob, ack := APIPrefix+".CONSUMER.MSG.NEXT.STIX.gamma", APIPrefix+".BLOB", fmt.Sprintf("$JS.ACK.STIX.gamma.1.%d.1.1.0", green)
	sha := strings.TrimPrefix(redBlob, "stix_blobs_red/")
	for _, body := range []string{
		redBlob, "stix_blobs_green/" + sha, "stix_blobs_green/" + sha + " 1", "stix_blobs_green/../stix_blobs_red/" + sha, "stix_blobs_green/" + openBlob[len("stix_blobs_green/"):] + " 999999999",
		"stix_blobs_*/" + sha, "stix_blobs_Red/" + sha, "stix_blobs_green,red/" + sha, "stix_blobs_red\x00/" + sha, "stix_blobs_unmarked/" + sha, "stix_blobs_/" + sha, "stix_blobs_amber+strict/" + sha,
		"../" + redBlob, redBlob + "\n" + openBlob, openBlob + "\n" + redBlob, "KV_stixbridge_state/" + sha, "", "\x00", strings.Repeat("a", 4000),
	} {
		send(blob, "", body, nil)
	}

	// Pull requests, acknowledgements and payloads with replies and headers that lead elsewhere.
	replies := []string{
		"$JS.ACK.STIX.beta.1.1.1.1.0", "$JS.API.STREAM.PURGE.STIX", "$JS.API.CONSUMER.DELETE.STIX.beta", "stix.v1.feed.green.create.malware.1", "stix.v1.feed.red.create.malware.1",
		"$KV.stixbridge_state.cursor.secret", "dlq.soc.poison", "_R_.aaaaaa.bbbbbb", "_GR_.a.b.c", "_INBOX.beta", "stixbridge.v1.ctl.replay", "$SYS.REQ.SERVER.PING", Services + ".beta.blob",
		pull, blob, "$JS.ACK.STIX.gamma.1.1.1.1.0", "latest.v1.malware.malware--1.secret",
	}
	headers := []nats.Header{
		nil, {"Nats-Trace-Dest": {"_INBOX.attack.trace"}}, {"Nats-Trace-Dest": {"stix.v1.feed.red.create.malware.1"}, "Nats-Trace-Only": {"true"}},
		{"Nats-Request-Info": {`{"acc":"$G","user":"bridge"}`}}, {"Status": {"503"}}, {"Nats-Rollup": {"all"}}, {"Nats-Service-Error": {"x"}}, {"Nats-Expected-Stream": {"STIX"}},
	}
	for _, reply := range replies {
		for _, h := range headers {
			send(pull, reply, `{"batch":1,"no_wait":true}`, h)
			send(ack, reply, "+ACK", h)
			send(ack, reply, "+NXT 5", h)
			send(blob, reply, openBlob, h)
			send(blob, reply, redBlob, h)
		}
	}
	for _, h := range headers {
		send(pull, "", `{"batch":5,"no_wait":true}`, h)
	}
	for _, body := range []string{
		`{"batch":1000000000,"no_wait":true}`, `{"batch":-5}`, `{"batch":1,"expires":99999999999999999}`, `{"batch":1,"max_bytes":1,"no_wait":true}`, `{"batch":1,"group":"a","no_wait":true}`,
		`{"batch":1,"id":"x","no_wait":true}`, `{"batch":1,"no_wait":true,"filter_subject":"stix.v1.*.red.>"}`, `{"seq":1}`, `not json`, `99999`, strings.Repeat(`[`, 2000),
	} {
		send(pull, "", body, nil)
	}
	for _, body := range []string{"+NXT", `+NXT {"batch":100}`, "-NAK", `-NAK {"delay":-1}`, "+WPI", "+TERM", "x"} {
		send(ack, "", body, nil)
		send(fmt.Sprintf("$JS.ACK.STIX.gamma.1.%d.99999.1.0", green+3), "", body, nil)
		send("$JS.ACK.STIX.gamma.x.y.z.a.b", "", body, nil)
	}

	// Writing.
	for _, q := range r.changes() {
		for _, s := range known(q.subject) {
			send(s, "", q.body, nil)
		}
	}
	if len(owed) != 1 {
		t.Fatalf("beta holds %q", owed)
	}
	for _, word := range []string{"", "+ACK", "+TERM", "-NAK"} {
		for _, s := range append(known(owed[0]), strings.Replace(owed[0], ".1.", ".2.", 1)) {
			send(s, "", word, nil)
			send(ack, s, word, nil)
			send(pull, s, `{"batch":1,"no_wait":true}`, nil)
		}
	}
	// A flood: the others must not suffer.
	for range 3000 {
		send(pull, "_INBOX.flood", `{"batch":1000,"no_wait":true}`, nil)
		send(APIPrefix+".CONSUMER.INFO.STIX.gamma", "_INBOX.flood", "", nil)
	}
	for range 500 {
		send(blob, "_INBOX.flood", openBlob, nil)
	}
	if _, err := beta.Request(APIPrefix+".CONSUMER.INFO.STIX.beta", nil, 10*time.Second); err != nil {
		t.Errorf("during a flood of gamma's, beta gets no answer: %v", err)
	}

	// What was sent is through when a last request of the same connection is answered.
	await(t, func() error {
		_, err := gamma.Request(APIPrefix+".CONSUMER.INFO.STIX.gamma", nil, time.Second)
		return err
	})
	if _, err := gamma.Request(APIPrefix+".CONSUMER.MSG.NEXT.STIX.gamma", []byte(`{"batch":1,"no_wait":true}`), 10*time.Second); err != nil {
		t.Error(err)
	}
	_ = everything.Unsubscribe()

	for _, text := range []string{hidden, "canary", "secret"} {
		for _, s := range loot.with(text) {
			if !strings.Contains(s, "_INBOX.attack.trace") || strings.Contains(s, hidden) {
				t.Errorf("gamma got %.300q", s)
			}
		}
	}
	if len(loot.with("open")) == 0 {
		t.Error("gamma did not even get what it may: the test looks in the wrong place")
	}
	if loot.complaints() < 50 {
		t.Errorf("the server refused %d times only: the attempts did not reach it", loot.complaints())
	}
	if d := cmp.Diff(before, r.books()); d != "" {
		t.Errorf("gamma changed (-before +after):\n%s", d)
	}
	outside(t, r, pass)
}

// outside is what a subscriber may try beside its connection: other logins, more connections, larger messages.
func outside(t *testing.T, r *rig, pass string) {
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	for _, user := range []string{"", "bridge", "operator", "producer.feed", "subscriber.beta", "subscriber.", "subscriber.*", "gamma", "$G", "$SYS", "sys"} {
		if nc, err := nats.Connect(r.b.URL(), nats.UserInfo(user, pass), nats.NoReconnect(), quiet); err == nil {
			t.Errorf("%q gets in with gamma's password", user)
			nc.Close()
		}
	}
	for _, opt := range []nats.Option{nats.Token(pass), nats.UserInfo("subscriber.gamma", ""), nats.UserInfo("subscriber.gamma", strings.Repeat(pass, 4)), nats.Name("nothing")} {
		if nc, err := nats.Connect(r.b.URL(), opt, nats.NoReconnect(), quiet); err == nil {
			t.Error("gets in without gamma's password")
			nc.Close()
		}
	}
	var open []*nats.Conn
	for range DefaultLimits.Connections + 4 {
		if nc, err := nats.Connect(r.b.URL(), nats.UserInfo("subscriber.gamma", pass), nats.NoReconnect(), quiet); err == nil {
			open = append(open, nc)
		}
	}
	await(t, func() error {
		n := 0
		for _, nc := range open {
			if nc.IsConnected() {
				n++
			}
		}
		if n > int(DefaultLimits.Connections) {
			return fmt.Errorf("%d connections are open, %d are allowed", n, DefaultLimits.Connections)
		}
		return nil
	})
	for _, nc := range open {
		nc.Close()
	}
	var nc *nats.Conn
	await(t, func() (err error) {
		nc, err = nats.Connect(r.b.URL(), nats.UserInfo("subscriber.gamma", pass), nats.NoReconnect(), quiet)
		return err
	})
	defer nc.Close()
	var said haul
	nc.SetErrorHandler(said.complain)
	for i := range DefaultLimits.Subscriptions + 10 {
		if _, err := nc.Subscribe(fmt.Sprintf("_INBOX.many.%d", i), func(*nats.Msg) {}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, func() error {
		said.mu.Lock()
		defer said.mu.Unlock()
		if !strings.Contains(strings.Join(said.err, " "), "maximum subscriptions exceeded") {
			return fmt.Errorf("may have any number of subscriptions: %q", said.err)
		}
		return nil
	})
	nc.Close()
	if got := r.raw(fmt.Sprintf("CONNECT {\"verbose\":false,\"user\":\"subscriber.gamma\",\"pass\":%q}\r\nPUB %s.BLOB _INBOX.a %d\r\n", pass, APIPrefix, DefaultLimits.Payload+1)); !strings.Contains(got, "Maximum Payload Violation") {
		t.Errorf("a message over the limit is answered with %q", got)
	}
}

// raw speaks to the server without a client library and returns what it says until it hangs up.
func (r *rig) raw(text string) string {
	r.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.b.URL(), "nats://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		r.t.Fatal(err)
	}
	b, _ := io.ReadAll(c) // it ends with the connection, or the deadline
	return string(b)
}
