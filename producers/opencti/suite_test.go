package opencti

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stixbridge/stixbridge/bridge/bridgetest"
	"github.com/stixbridge/stixbridge/internal/sse/ssetest"
)

// played is a live stream that ends whenever it has told all.
func played(frames []frame) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _ := parsePosition(r.Header.Get("Last-Event-Id"))
		w.Header().Set("Content-Type", "text/event-stream")
		var b strings.Builder
		hello := connectedFrame(frames[0].id, frames[len(frames)-1].id)
		b.WriteString(ssetest.Format(hello.id, hello.name, hello.data))
		for _, f := range frames {
			if id, _ := parsePosition(f.id); from.before(id) {
				b.WriteString(ssetest.Format(f.id, f.name, f.data))
			}
		}
		fmt.Fprint(w, b.String())
	})
}

func TestTheLiveStreamPassesTheSuite(t *testing.T) {
	const n = 300
	var frames []frame
	for i := range n {
		frames = append(frames, frame{fmt.Sprintf("%d-0", 1000+i/3), "create", object(i, "v1")}) // three to an id
	}
	bridgetest.Producer(t, bridgetest.ProducerCase{
		Plugin: Plugin,
		Source: func(testing.TB) http.Handler { return played(frames) },
		Section: func(url string) string {
			return fmt.Sprintf(`{"url":%q,"token":"reader-token","stream":"live","start":"1970-01-01T00:00:00.001Z"}`, url)
		},
		Objects: n,
		Secrets: []string{"reader-token"},
	})
}
