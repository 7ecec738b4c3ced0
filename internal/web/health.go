package web

import (
	"context"
	"net/http"
)

// health is the answer of /healthz and /readyz.
type health struct {
	Status  string   `json:"status"` // ok, degraded, ready, not ready
	Reasons []string `json:"reasons,omitempty"`
}

// healthz says whether somebody should look. Probes need no token; the reasons, which name producers, consumers and what
// their other sides say, are for those who may read.
func (h *Handler) healthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
	defer cancel()
	if why := h.source.Healthy(ctx); len(why) > 0 {
		h.unhealthy(w, r, "degraded", why)
		return
	}
	writeJSON(w, http.StatusOK, health{Status: "ok"})
}

// readyz says whether the bridge has started and its event log answers.
func (h *Handler) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
	defer cancel()
	if err := h.source.Ready(ctx); err != nil {
		h.unhealthy(w, r, "not ready", []string{err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, health{Status: "ready"})
}

func (h *Handler) unhealthy(w http.ResponseWriter, r *http.Request, status string, why []string) {
	if h.role(r) < viewerRole {
		why = nil
	}
	writeJSON(w, http.StatusServiceUnavailable, health{Status: status, Reasons: why})
}
