package web

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/stixbridge/stixbridge/bridge"
)

// tab is a browser tab that fails its test.
type tab struct {
	t    *testing.T
	ctx  context.Context
	mu   sync.Mutex
	said []string // by the console, of exceptions, and of what could not be loaded
}

// browser starts a Chromium of its own, with a new profile; it ends with the test.
func browser(t *testing.T) *tab {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no Chromium on this machine; install the package chromium")
		}
		t.Skip("SKIPPED: the page was not tried in a browser; install the package chromium")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true))
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the end, so that the profile can be removed
		end()
	})
	b := &tab{t: t, ctx: ctx}
	b.do(chromedp.EmulateViewport(1280, 900))
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// get runs one action for its value.
func get[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// eval runs a script for its value; where scripts are off, it still works, unlike the page's own.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	return get(b, chromedp.Evaluate[T](script))
}

// wait lets a condition come true, for at most 30 s.
func (b *tab) wait(script string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](script)); err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
}

// listen collects complaints from now on.
func (b *tab) listen() {
	b.t.Helper()
	if err := chromedp.Listen(b.ctx, func(ev any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventConsoleAPICalled:
			b.said = append(b.said, "console: "+string(ev.Type))
		case *runtime.EventExceptionThrown:
			b.said = append(b.said, "exception: "+ev.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			b.said = append(b.said, "log: "+ev.Entry.Text+" "+ev.Entry.URL)
		}
	}); err != nil {
		b.t.Fatal(err)
	}
}

// quiet fails the test when the browser complained.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) > 0 {
		b.t.Errorf("the browser complains:\n%s", strings.Join(b.said, "\n"))
	}
}

// serveFake runs the whole thing, server included, on a free port.
func serveFake(t *testing.T, f *fake, tokens bridge.HTTPTokens) (h *Handler, url string) {
	t.Helper()
	ln, err := Listen("127.0.0.1:0", tokens)
	if err != nil {
		t.Fatal(err)
	}
	h = New(Options{Source: f, Tokens: tokens, Listen: ln.Addr().String(), Version: "v0.1.0", Log: slog.New(slog.DiscardHandler)})
	h.pace = 200 * time.Millisecond
	fill(h.history, f.status, time.Now())
	serve(t, h, ln)
	return h, "http://" + ln.Addr().String()
}

func serve(t *testing.T, h *Handler, ln net.Listener) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// live is the selector of a page that gets its numbers.
const live chromedp.CSS = "[data-live=on] main"

var screens = []struct {
	name          string
	width, height int64
}{{"desk", 1280, 900}, {"tablet", 1010, 1000}, {"phone", 390, 844}, {"small", 320, 640}}

func TestEveryPageFitsTheScreenAndKeepsTheConsoleQuiet(t *testing.T) {
	b := browser(t)
	_, url := serveFake(t, &fake{status: troubled(time.Now())}, bridge.HTTPTokens{})
	_, emptyURL := serveFake(t, &fake{status: bridge.Status{Running: true, Log: bridge.LogStatus{Mode: "embedded"}}}, bridge.HTTPTokens{})
	_, lockedURL := serveFake(t, &fake{}, bridge.HTTPTokens{Viewer: "look"})
	_, calmURL := serveFake(t, &fake{status: calm(time.Now())}, bridge.HTTPTokens{})
	b.listen()
	pages := []struct{ name, url string }{
		{"login", lockedURL + "/login"}, {"overview", url + "/"}, {"calm", calmURL + "/"}, {"consumer", url + "/consumers/soc"}, {"paused", url + "/consumers/tickets"}, {"producer", url + "/producers/octi"}, {"empty", emptyURL + "/"},
	}
	for _, screen := range screens {
		for _, scheme := range []string{"light", "dark"} {
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
			if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
				t.Fatal(err)
			}
			b.do(chromedp.EmulateViewport(screen.width, screen.height))
			for _, p := range pages {
				ready := live
				if p.name == "login" {
					ready = "#token"
				}
				b.do(chromedp.Navigate(p.url), chromedp.WaitVisible(ready))
				if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > screen.width {
					t.Errorf("%s on a screen %d wide needs %d", p.name, screen.width, wide)
				}
				if over := eval[int64](b, `[...document.querySelectorAll("main > section")].filter(s => s.scrollWidth > s.clientWidth + 1).length`); over > 0 {
					t.Errorf("%s on a screen %d wide: the content of %d sections is wider than they are", p.name, screen.width, over)
				}
				keep(b, p.name+"-"+screen.name+"-"+scheme+".png")
			}
		}
	}
	b.quiet()
}

// keep writes a screenshot where STIXBRIDGE_SHOTS says, for people to look at.
func keep(b *tab, name string) {
	b.t.Helper()
	dir := os.Getenv("STIXBRIDGE_SHOTS")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name), get(b, chromedp.FullScreenshot(100)), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func TestNumbersChangeByThemselvesAndLeaveTheReadersThingsAlone(t *testing.T) {
	b := browser(t)
	f := &fake{status: calm(time.Now())}
	_, url := serveFake(t, f, bridge.HTTPTokens{})
	b.listen()
	b.do(chromedp.Navigate(url+"/"), chromedp.WaitVisible(live), chromedp.Click(chromedp.CSS("#consumer-archive summary")))
	eval[string](b, `document.querySelector("#consumer-soc").mark = "same element"`)
	f.set(func(f *fake) {
		f.status.Consumers = slices.Clone(f.status.Consumers)
		f.status.Consumers[1].Lag = 76_543
		f.status.Consumers[1].Health, f.status.Consumers[1].Error = bridge.Refused, "401 <b>no</b>"
	})
	b.wait(`document.querySelector("#consumer-soc [data-label=Waiting] b").textContent === "76,543"`)
	if !eval[bool](b, `document.querySelector("#consumer-soc").mark === "same element"`) {
		t.Error("the update replaced an element that it should have changed")
	}
	if !eval[bool](b, `document.querySelector("#consumer-archive details").open`) {
		t.Error("the update closed what the reader had opened")
	}
	if says := eval[string](b, `document.querySelector(".problem .says").textContent`); says != "401 <b>no</b>" {
		t.Errorf("the target's word became %q", says)
	}
	title, icon := get(b, chromedp.Title()), eval[string](b, `document.getElementById("icon").href`)
	if !strings.HasPrefix(title, "1 thing needs you") || !strings.Contains(icon, "bad.svg") {
		t.Errorf("title %q and icon %q do not warn", title, icon)
	}
	b.quiet()
}

func TestAnOperatorPausesAndResumesOnThePage(t *testing.T) {
	b := browser(t)
	f := &fake{status: calm(time.Now())}
	_, url := serveFake(t, f, bridge.HTTPTokens{Viewer: "look", Operator: "act"})
	b.do(chromedp.Navigate(url+"/consumers/soc"), chromedp.SendKeys(chromedp.CSS("#token"), "act\n"), chromedp.WaitVisible(chromedp.CSS("[data-live=on] .title summary")))
	b.listen() // not before: the login page is a 401, which the console mentions
	b.do(
		chromedp.Click(chromedp.CSS(".title summary")), chromedp.Click(chromedp.CSS(".title details button")),
		chromedp.WaitVisible(chromedp.CSS(".title .primary")), chromedp.Click(chromedp.CSS(".title .primary")),
		chromedp.WaitVisible(chromedp.CSS(".title summary")),
	)
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff([]Order{{Pause, "soc"}, {Resume, "soc"}}, f.orders); diff != "" {
		t.Error(diff)
	}
	b.quiet()
}

func TestALinkFromAnotherSiteFindsTheLogin(t *testing.T) {
	b := browser(t)
	_, url := serveFake(t, &fake{status: calm(time.Now())}, bridge.HTTPTokens{Viewer: "look"})
	other := httptest.NewServer(page(`<a href="` + url + `/consumers/soc">soc is late</a>`))
	t.Cleanup(other.Close)
	elsewhere := strings.Replace(other.URL, "127.0.0.1", "localhost", 1) // for a browser, another site
	b.do(chromedp.Navigate(url+"/"), chromedp.SendKeys(chromedp.CSS("#token"), "look\n"), chromedp.WaitVisible(live),
		chromedp.Navigate(elsewhere), chromedp.Click(chromedp.CSS("a")), chromedp.WaitVisible(chromedp.CSS("[data-live=on] .title")))
	if title := get(b, chromedp.Title()); !strings.HasPrefix(title, "soc") {
		t.Errorf("title %q", title)
	}
}

func TestWithoutScriptThePageShowsItsNumbers(t *testing.T) {
	b := browser(t)
	_, url := serveFake(t, &fake{status: troubled(time.Now())}, bridge.HTTPTokens{})
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(390, 844), chromedp.Navigate(url+"/"))
	text := eval[string](b, `document.querySelector("main").innerText`)
	for _, want := range []string{"504,881", "1,204,880", "401 Unauthorized", "dead letters wait"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if strings.Contains(text, "Pause…") {
		t.Error("the page offers an order that it cannot give without its script")
	}
	if asOf := eval[string](b, `document.querySelector(".as-of").innerText`); !strings.HasPrefix(asOf, "as of ") {
		t.Errorf("the head says %q, not of when the numbers are", asOf)
	}
	keep(b, "overview-noscript.png")
}

func TestALostConnectionIsSaidAndHealsByItself(t *testing.T) {
	b := browser(t)
	f := &fake{status: calm(time.Now())}
	ln, err := Listen("127.0.0.1:0", bridge.HTTPTokens{})
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	stop := start(t, f, ln)
	b.do(chromedp.Navigate("http://"+addr+"/"), chromedp.WaitVisible(live))
	stop()
	b.do(chromedp.WaitReady(chromedp.CSS("[data-live=off]")), chromedp.WaitVisible(chromedp.CSS(".when-lost")))
	keep(b, "overview-lost.png")
	f.set(func(f *fake) { f.status.Log.Events = 4242 })
	if ln, err = Listen(addr, bridge.HTTPTokens{}); err != nil {
		t.Fatal(err)
	}
	defer start(t, f, ln)()
	b.do(chromedp.WaitVisible(live))
	b.wait(`document.querySelector(".stage:nth-child(3) .figure").textContent === "4,242"`)
}

// start serves a fake until the returned function is called.
func start(t *testing.T, f *fake, ln net.Listener) (stop func()) {
	h := New(Options{Source: f, Listen: ln.Addr().String(), Log: slog.New(slog.DiscardHandler)})
	h.pace = 200 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx, ln) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
