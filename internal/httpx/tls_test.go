package httpx

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTLSFiles(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	defer s.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	conf, err := LoadTLS(ca, "", "", false)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := get(t, client(t, Options{AllowPrivate: true, TLS: conf}), s.URL); err != nil || string(b) != "ok" {
		t.Errorf("with the authority: %q, %v", b, err)
	}
	if _, err := get(t, client(t, Options{AllowPrivate: true}), s.URL); err == nil || !isCertificate(err) {
		t.Errorf("without it: %v", err)
	}
	conf, _ = LoadTLS("", "", "", true)
	if _, err := get(t, client(t, Options{AllowPrivate: true, TLS: conf}), s.URL); err != nil {
		t.Errorf("insecure: %v", err)
	}
	text := filepath.Join(dir, "text.pem")
	_ = os.WriteFile(text, []byte("no pem"), 0o600)
	for _, tt := range []struct{ name, ca, cert, key, want string }{
		{"a missing file", filepath.Join(dir, "none"), "", "", "ca: "},
		{"no PEM", text, "", "", "holds no PEM certificate"},
		{"a certificate without its key", "", text, "", "go together"},
		{"a key that is none", "", text, text, "cert: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := LoadTLS(tt.ca, tt.cert, tt.key, false); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
