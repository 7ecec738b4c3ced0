package web

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"time"
)

//go:embed assets/*.html
var pages embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"num": func(v any) string { return value(v) }, "size": size, "rate": rate, "span": span, "seconds": seconds,
	"ago": ago, "until": until, "clock": clock, "value": value, "asset": assetURL,
	"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"percent": func(f float64) string { return number(int64(f*100+0.5)) + " %" },
	"moment":  func(now, t time.Time) moment { return moment{now, t} },
	"health":  func(l level, word string) badge { return badge{l, word} },
	"done":    func(done, total int64) float64 { return min(1, float64(max(done, 0))/float64(max(total, 1))) },
	"bytes64": func(n int64) string { return size(uint64(max(n, 0))) },
	"count":   func(n int, one, many string) string { return count(n, one, many) },
	"chart":   newChart,
	"problemAt": func(now time.Time, p problem) any {
		return struct {
			Now time.Time
			P   problem
		}{now, p}
	},
}).ParseFS(pages, "assets/*.html"))

type moment struct{ Now, At time.Time }

type badge struct {
	Level level
	Word  string
}

// chart is a large curve with its name and the value of its top edge.
type chart struct {
	Name, Top string
	Curve     curve
}

func newChart(name string, c curve, unit string) chart {
	top := value(c.Max) + unit
	if unit == "/s" {
		top = rate(c.Max)
	}
	return chart{Name: name, Top: "to " + top, Curve: c}
}

// page answers with one of the pages that are made from the status.
func (h *Handler) page(w http.ResponseWriter, r *http.Request) {
	v := h.view(r, r.URL.Path)
	status := http.StatusOK
	if v.Code != 0 {
		status = v.Code
	}
	h.render(w, status, "document", v)
}

func (h *Handler) missing(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.fail(w, r, http.StatusMethodNotAllowed, "this endpoint does not take "+r.Method)
		return
	}
	h.fail(w, r, http.StatusNotFound, "there is no such page")
}

// message answers with a page that says one thing, without asking the bridge anything.
func (h *Handler) message(w http.ResponseWriter, _ *http.Request, status int, why string) {
	h.render(w, status, "message-only", struct {
		Title, Message string
	}{http.StatusText(status), why})
}

// render executes a template into memory first, so that an error never leaves half a page.
func (h *Handler) render(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		h.log.Error("page cannot be made", "template", name, "error", err)
		http.Error(w, "the page cannot be made; see the log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
