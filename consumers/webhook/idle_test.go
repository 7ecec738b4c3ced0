package webhook

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stixbridge/stixbridge/bridge/bridgetest"
)

// Targets and the proxies before them close connections on which nothing happens. The next event, an hour later, must not fail for that.
func TestAnEventAfterAConnectionWasClosedForIdlenessIsDelivered(t *testing.T) {
	idle := make(chan net.Conn, 10)
	closed := make(chan struct{}, 10)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
		switch s {
		case http.StateIdle:
			idle <- c
		case http.StateClosed:
			closed <- struct{}{}
		}
	}
	srv.Start()
	defer srv.Close()
	s := build(t, fmt.Sprintf(`{"url":%q}`, srv.URL))
	for i := range 20 {
		if err := s.Deliver(t.Context(), bridgetest.Sample()[:1]); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		_ = (<-idle).Close() // the target's time is over
		<-closed
	}
}
