package testpeer

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestClusterKeepsServingWhenOneServerIsKilled(t *testing.T) {
	servers := Cluster(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	js := connect(t, servers.URL())
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, ctx, js, 10)

	leader := stream.CachedInfo().Cluster.Leader // n0, n1, n2
	victim := int(leader[1] - '0')
	servers.Kill(victim)
	publish(t, ctx, js, 10)
	servers.Start(victim)
	within(t, 30*time.Second, func() error { return replicated(ctx, stream, 20) })
}

// replicated returns nil when the stream has want messages and all its replicas are current.
func replicated(ctx context.Context, stream jetstream.Stream, want uint64) error {
	info, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	if info.State.Msgs != want {
		return errText("messages missing")
	}
	for _, r := range info.Cluster.Replicas {
		if !r.Current {
			return errText(r.Name + " is behind")
		}
	}
	return nil
}

type errText string

func (e errText) Error() string { return string(e) }

func TestSingleServerKeepsItsStoreOverKillAndObeysExtraConfiguration(t *testing.T) {
	servers := Cluster(t, 1, "authorization { user: u, password: p }")
	if _, err := nats.Connect(servers.URLs[0]); err == nil {
		t.Fatal("connected without credentials")
	}
	url := strings.Replace(servers.URLs[0], "//", "//u:p@", 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	js := connect(t, url)
	if got := js.Conn().MaxPayload(); got != 8<<20 {
		t.Errorf("max_payload %d", got)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	publish(t, ctx, js, 5)
	servers.Kill(0)
	servers.Start(0)
	stream, err := connect(t, url).Stream(ctx, "S")
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != 5 {
		t.Errorf("%d messages after kill -9, want 5", got)
	}

	out, err := exec.Command(NATSCLI(t), "--server", url, "stream", "ls", "--names").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "S" {
		t.Errorf("nats stream ls: %v, %q", err, out)
	}
}

func connect(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// publish stores n messages, each tried again until a leader takes it.
func publish(t *testing.T, ctx context.Context, js jetstream.JetStream, n int) {
	t.Helper()
	for range n {
		id := nats.NewInbox()
		within(t, 30*time.Second, func() error {
			try, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			_, err := js.Publish(try, "s.x", []byte("m"), jetstream.WithMsgID(id))
			return err
		})
	}
}
