package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
)

// role is what a request may do; each includes the ones before.
type role int

const (
	noRole role = iota
	viewerRole
	operatorRole
)

func (r role) String() string { return [...]string{"none", "viewer", "operator"}[r] }

// sessionLife is how long a login lasts; a changed token ends it at once.
const sessionLife = 7 * 24 * time.Hour

// tokens knows the configured tokens by their digests, so that comparing never depends on their length.
type tokens struct {
	digest [operatorRole + 1][sha256.Size]byte
	set    [operatorRole + 1]bool
}

func newTokens(t bridge.HTTPTokens) tokens {
	var k tokens
	for r, s := range map[role]bridge.Secret{viewerRole: t.Viewer, operatorRole: t.Operator} {
		if s != "" {
			k.digest[r], k.set[r] = sha256.Sum256([]byte(s.Reveal())), true
		}
	}
	return k
}

func (k tokens) any() bool        { return k.set[viewerRole] || k.set[operatorRole] }
func (k tokens) canOperate() bool { return k.set[operatorRole] || !k.any() }

// of returns the highest role a token gives. Both are always compared, in constant time.
func (k tokens) of(token string) role {
	got := sha256.Sum256([]byte(token))
	found := noRole
	for _, r := range []role{viewerRole, operatorRole} {
		if subtle.ConstantTimeCompare(got[:], k.digest[r][:]) == 1 && k.set[r] {
			found = r
		}
	}
	return found
}

// seal makes the text of a session cookie: role, end, and a MAC that only the token's holder could make. It does not
// give the token away, and it ends when the token is changed.
func (k tokens) seal(r role, end time.Time) string {
	text := r.String() + "." + strconv.FormatInt(end.Unix(), 10)
	mac := hmac.New(sha256.New, k.digest[r][:])
	fmt.Fprintf(mac, "stixbridge session %s", text)
	return text + "." + hex.EncodeToString(mac.Sum(nil))
}

// open returns the role of a session cookie.
func (k tokens) open(cookie string, now time.Time) role {
	name, rest, _ := strings.Cut(cookie, ".")
	end, _, _ := strings.Cut(rest, ".")
	unix, err := strconv.ParseInt(end, 10, 64)
	if err != nil || now.Unix() >= unix {
		return noRole
	}
	for _, r := range []role{viewerRole, operatorRole} {
		if name == r.String() && k.set[r] && hmac.Equal([]byte(cookie), []byte(k.seal(r, time.Unix(unix, 0)))) {
			return r
		}
	}
	return noRole
}

// role returns what a request may do. Without tokens everybody on this machine is an operator.
func (h *Handler) role(r *http.Request) role {
	if !h.tokens.any() {
		return operatorRole
	}
	if token := bearer(r); token != "" {
		return h.tokens.of(token)
	}
	if c, err := r.Cookie(cookieName(r)); err == nil {
		return h.tokens.open(c.Value, h.now())
	}
	return noRole
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// cookieName holds the port: browsers share cookies between ports, and two bridges behind two tunnels are common.
func cookieName(r *http.Request) string {
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		return "stixbridge-" + port
	}
	return "stixbridge"
}

// secure reports whether the browser speaks TLS with us or with the proxy before us.
func secure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

func (h *Handler) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	next := localPath(r.PostFormValue("next"))
	got := noRole
	if h.tokens.any() {
		got = h.tokens.of(strings.TrimSpace(r.PostFormValue("token")))
		if got == noRole {
			h.log.Warn("login refused", "remote", r.RemoteAddr)
			h.showLogin(w, r, http.StatusUnauthorized, next, "This is neither the viewer nor the operator token.")
			return
		}
		end := h.now().Add(sessionLife)
		h.setCookie(w, r, h.tokens.seal(got, end), int(sessionLife/time.Second))
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (h *Handler) logout(w http.ResponseWriter, r *http.Request) {
	h.setCookie(w, r, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (h *Handler) setCookie(w http.ResponseWriter, r *http.Request, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: secure(r),
	})
}

// unauthorized asks for a token: programs by status and header, people by the login form in place of the page.
func (h *Handler) unauthorized(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="stixbridge"`)
	if isAPI(r) {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "give the viewer or operator token as Authorization: Bearer"})
		return
	}
	// A strict cookie does not come along when a link in a mail or chat was followed. Let the page itself ask once more.
	if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		h.render(w, http.StatusOK, "again", localPath(r.URL.Path))
		return
	}
	h.showLogin(w, r, http.StatusUnauthorized, r.URL.Path, "")
}

func (h *Handler) loginForm(w http.ResponseWriter, r *http.Request) {
	if h.role(r) >= viewerRole {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	h.showLogin(w, r, http.StatusOK, "/", "")
}

func (h *Handler) showLogin(w http.ResponseWriter, _ *http.Request, status int, next, why string) {
	h.render(w, status, "login", struct{ Next, Why string }{localPath(next), why})
}

// localPath returns a path on this page to go to, whatever was asked for.
func localPath(next string) string {
	if next == "/" || strings.HasPrefix(next, "/consumers/") || strings.HasPrefix(next, "/producers/") {
		return next
	}
	return "/"
}
