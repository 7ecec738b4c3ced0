package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/stixbridge/stixbridge/bridge"
)

// apiStatus answers with what the status command prints with --json.
func (h *Handler) apiStatus(w http.ResponseWriter, r *http.Request) {
	s, err := h.status.get(r.Context())
	if err == nil {
		err = s.Err // a program must not take old numbers for new ones
	}
	if err != nil {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, s.Status)
}

// order carries out what an operator asks of a consumer.
func (h *Handler) order(w http.ResponseWriter, r *http.Request) {
	o := Order{Action: Action(r.PathValue("action")), Name: r.PathValue("name")}
	if o.Action != Pause && o.Action != Resume {
		h.fail(w, r, http.StatusNotFound, "no such action; there are pause and resume")
		return
	}
	if s, err := h.status.get(r.Context()); err == nil && s.Err == nil && !hasConsumer(s.Status, o.Name) {
		h.fail(w, r, http.StatusNotFound, "no consumer is named "+o.Name)
		return
	}
	if err := h.source.Do(r.Context(), o); err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, ErrUnknown) {
			status = http.StatusNotFound
		}
		h.fail(w, r, status, err.Error())
		return
	}
	h.log.Info("order", "action", string(o.Action), "consumer", o.Name, "remote", r.RemoteAddr)
	h.status.forget()
	writeJSON(w, http.StatusOK, map[string]string{"consumer": o.Name, "action": string(o.Action)})
}

func hasConsumer(s bridge.Status, name string) bool {
	return slices.ContainsFunc(s.Consumers, func(c bridge.ConsumerStatus) bool { return c.Name == name })
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // a plugin's Extra may hold what JSON cannot
		status = http.StatusInternalServerError
		b.Reset()
		_ = enc.Encode(map[string]string{"error": err.Error()})
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
