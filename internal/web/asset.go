package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
)

//go:embed assets/*.css assets/*.js assets/*.svg
var assets embed.FS

var assetTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// assetBuild changes whenever an asset does.
var assetBuild = func() string {
	sum := sha256.New()
	entries, _ := assets.ReadDir("assets")
	for _, e := range entries {
		b, _ := assets.ReadFile("assets/" + e.Name())
		sum.Write(b)
	}
	return hex.EncodeToString(sum.Sum(nil))[:10]
}()

// assetURL names an asset so that browsers may keep it for ever and still see a new one at once.
func assetURL(name string) string { return "/assets/" + name + "?v=" + assetBuild }

// serveAsset needs no token: the login page looks like the others, and there is nothing to see.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	b, err := assets.ReadFile("assets/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", assetTypes[path.Ext(name)])
	if r.URL.Query().Get("v") == assetBuild {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(b)
}
