package bridge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/internal/httpx"
	"github.com/stixbridge/stixbridge/stix"
)

// CONTRIBUTING.md shows what stands between the marks; a test of the documentation compares the two.

// begin producer

// IPList is the kind iplist: a text file with one address a line, as many blocklists are.
var IPList = bridge.Define("iplist", "List of IP addresses, one a line", ipList{}, func(c ipList) (bridge.Producer, error) {
	if c.URL == "" {
		return nil, bridge.KeyError("url", fmt.Errorf("name the list"))
	}
	return c, nil
}).For("kind: iplist\nname: blocklist\nurl: https://example.org/ips.txt\nevery: 1h\n")

// The struct is the configuration; its tags are the manual.
type ipList struct {
	URL string `json:"url" jsonschema:"format=uri,description=Address of the list."`
}

// Produce reads the list once. The runtime calls it on schedule and decides what is new.
func (p ipList) Produce(ctx context.Context, run *bridge.Run) error {
	var known httpx.Validators // the cursor: ETag and Last-Modified of the version that was read to its end
	if err := run.Cursor(ctx, &known); err != nil {
		return err
	}
	doc, err := httpx.Fetch(ctx, run.HTTP, p.URL, known)
	if err != nil {
		return kindOf(err)
	}
	if doc.NotModified {
		return nil
	}
	defer doc.Body.Close()
	// Whole before the first object: half a list must neither be believed nor commit a cursor.
	text, err := io.ReadAll(doc.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", doc.URL, err)
	}
	if !strings.HasPrefix(doc.ContentType, "text/plain") {
		return fmt.Errorf("%s: a list was expected, this is %s", doc.URL, doc.ContentType)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		obj, err := address(line)
		if err == nil {
			err = run.Upsert(ctx, obj) // blocks while the event log is busy
		} else {
			err = run.Reject(ctx, []byte(line), fmt.Sprintf("%s line %d", doc.URL, n), err) // a dead letter; the rest goes on
		}
		if err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", doc.URL, err)
	}
	return run.Commit(ctx, doc.Validators) // everything put before it is stored no later than the cursor
}

// address makes the object with its deterministic id: the same address is the same object everywhere.
func address(text string) (stix.Object, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return stix.Object{}, err
	}
	typ := "ipv4-addr"
	if ip.Is6() {
		typ = "ipv6-addr"
	}
	member := map[string]string{"type": typ, "spec_version": "2.1", "value": ip.String()}
	raw, _ := json.Marshal(member) // texts cannot fail
	if member["id"], err = stix.ID(raw); err != nil {
		return stix.Object{}, err
	}
	raw, _ = json.Marshal(member)
	return stix.Parse(raw)
}

// kindOf says by the kind of the error what the runtime is to do.
func kindOf(err error) error {
	switch verdict, wait := httpx.Classify(err); verdict {
	case httpx.Denied: // 401, 403: stop, say so, try again by itself
		return bridge.Paused(err)
	case httpx.Later: // 429, 503 with Retry-After
		return bridge.RetryAfter(err, wait)
	case httpx.Invalid: // 400, 413, 422: this event will never be taken; only a sink may say so
		return bridge.Permanent(err)
	}
	return err // try again with backoff
}

// end producer

// begin producer test

func TestIPList(t *testing.T) {
	var list strings.Builder
	list.WriteString("# blocklist\nnot an address\n")
	for i := range 500 {
		fmt.Fprintf(&list, "192.0.2.%d\n2001:db8::%x\n", i%250, i)
	}
	bridgetest.Producer(t, bridgetest.ProducerCase{
		Plugin: IPList,
		Source: func(testing.TB) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				_, _ = io.WriteString(w, list.String())
			})
		},
		Section:     func(url string) string { return fmt.Sprintf(`{"url":%q}`, url) },
		Objects:     250 + 500,
		Conditional: true,
		Closed:      true,
	})
}

// end producer test

// begin sink

// Chat is the kind chat: one message for each event. Its target is outside the house: max_tlp is green unless the
// configuration says otherwise, and producers must be named.
var Chat = bridge.Define("chat", "Message to a chat room", chat{}, newChat).
	With(bridge.Traits{Leaves: true, Start: "new"}).
	For("kind: chat\nname: room\nurl: https://chat.example/hook\nproducers: [blocklist]\n")

type chat struct {
	URL   string        `json:"url" jsonschema:"format=uri,description=Webhook of the room."`
	Token bridge.Secret `json:"token,omitempty" jsonschema:"description=Token of the room."`
}

// newChat must not touch the network.
func newChat(c chat) (bridge.Sink, error) {
	if c.URL == "" {
		return nil, bridge.KeyError("url", fmt.Errorf("name the room's webhook"))
	}
	client := httpx.New(httpx.Options{Trusted: []string{c.URL}, Retry: -1}) // retries are the runtime's: in place and in order
	return bridge.Each(func(ctx context.Context, e bridge.Event) error {
		body := fmt.Appendf(nil, `{"text":"%s %s","event":%s}`, e.Op, e.Object.ID(), e.Line(nil))
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+c.Token.Reveal()) // a bridge.Secret shows itself nowhere else
		req.Header.Set("Idempotency-Key", e.ID)                     // the same event always has the same id
		resp, err := httpx.Do(client, req)
		if err != nil {
			return err
		}
		defer httpx.Drain(resp.Body)
		return kindOf(httpx.Check(resp))
	}), nil
}

// end sink

// begin sink test

func TestChat(t *testing.T) {
	bridgetest.Sink(t, bridgetest.SinkCase{
		Plugin:  Chat,
		Secrets: []string{"t0ken"},
		Target: func(t testing.TB) bridgetest.Target {
			return bridgetest.NewHTTPTarget(t, func(url string) string {
				return fmt.Sprintf(`{"url":%q,"token":"t0ken"}`, url)
			}, func(_ *http.Request, body []byte) ([]bridgetest.Receipt, error) {
				var message struct{ Event json.RawMessage }
				if err := json.Unmarshal(body, &message); err != nil {
					return nil, err
				}
				got, err := bridgetest.ReadLine(message.Event)
				return []bridgetest.Receipt{got}, err
			})
		},
	})
}

// end sink test
