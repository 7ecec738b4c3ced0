package web

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// actionHeader must be on every order that carries no bearer token: no form and no link of another site can set it, and
// a script of another site would have to ask for permission first, which is never given.
const actionHeader = "Stixbridge-Action"

var crossOrigin = http.NewCrossOriginProtection()

// setHeaders forbids the browser whatever the page does not need: anything from elsewhere, inline code, frames, sniffing.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// refuse returns a status and a reason for requests that no endpoint may see.
func (h *Handler) refuse(r *http.Request) (int, string) {
	if err := crossOrigin.Check(r); err != nil {
		return http.StatusForbidden, "another site sent this request"
	}
	// Another site could read nothing here, but its scripts could take up all the watches.
	if site := r.Header.Get("Sec-Fetch-Site"); isAPI(r) && (site == "cross-site" || site == "same-site") && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		return http.StatusForbidden, "another site sent this request"
	}
	if h.tokens.any() {
		return 0, ""
	}
	// Without tokens only this machine's users may look. A web page elsewhere can point its own name at 127.0.0.1 and
	// have the browser of such a user read for it; it cannot make the browser send another Host.
	host, _, err := net.SplitHostPort(h.opt.Listen)
	if err != nil || !isLoopback(host) {
		return http.StatusForbidden, "no http.tokens are set, and http.listen is not an address of this machine alone"
	}
	if !h.knownHost(r.Host) {
		return http.StatusMisdirectedRequest, "without http.tokens this page answers only to localhost, 127.0.0.1 and [::1]; set http.tokens to serve it under another name"
	}
	return 0, ""
}

func (h *Handler) knownHost(hostport string) bool {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return isLoopback(host) || slices.ContainsFunc(h.opt.Hosts, func(s string) bool { return strings.EqualFold(s, host) })
}

// viewer lets those through who may read.
func (h *Handler) viewer(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if h.role(r) < viewerRole {
			h.unauthorized(w, r)
			return
		}
		next(w, r)
	}
}

// operator lets those through who may give orders, and only orders that were meant.
func (h *Handler) operator(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch role := h.role(r); {
		case role < viewerRole:
			h.unauthorized(w, r)
		case role < operatorRole && !h.tokens.canOperate():
			h.fail(w, r, http.StatusForbidden, "no http.tokens.operator is configured, so orders are taken on the command line only")
		case role < operatorRole:
			h.fail(w, r, http.StatusForbidden, "this needs the operator token")
		case bearer(r) == "" && r.Header.Get(actionHeader) != "1":
			h.fail(w, r, http.StatusForbidden, "an order without bearer token needs the header "+actionHeader+": 1")
		default:
			next(w, r)
		}
	}
}

// fail answers in the form that the endpoint speaks.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, status int, why string) {
	if isAPI(r) {
		writeJSON(w, status, map[string]string{"error": why})
		return
	}
	h.message(w, r, status, why)
}

// isAPI reports whether programs rather than people use an endpoint.
func isAPI(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/") || slices.Contains([]string{"/metrics", "/healthz", "/readyz"}, r.URL.Path)
}
