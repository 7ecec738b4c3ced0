// Keeps the page live: takes the server's next page from an event stream and changes only what differs, so that
// scrolling, selections and open parts stay. Without this script the page is complete and reloads by itself.
"use strict";
(() => {
  const root = document.documentElement;
  const quiet = 12000; // ms without a page: the numbers are old
  let stream, heard, build = document.getElementById("page").dataset.build;

  root.dataset.live = "on";

  function connect() {
    stream = new EventSource("/api/v1/watch?page=" + encodeURIComponent(location.pathname));
    stream.addEventListener("page", (e) => show(e.data));
    stream.onerror = () => {
      root.dataset.live = "off";
      if (stream.readyState === EventSource.CLOSED) setTimeout(retry, 5000);
    };
    heard = Date.now();
  }

  // The browser gives up when the answer was not a stream: the bridge restarts, a proxy answers for it, or the login ended.
  async function retry() {
    try {
      const r = await fetch(location.pathname, { method: "HEAD" });
      if (r.ok || r.status === 401) return location.reload();
    } catch { /* not back yet */ }
    setTimeout(retry, 5000);
  }

  function show(html) {
    const page = new DOMParser().parseFromString(html, "text/html").getElementById("page");
    if (!page) return;
    if (page.dataset.build !== build) return location.reload();
    heard = Date.now();
    root.dataset.live = "on";
    morph(document.getElementById("page"), page);
    document.title = page.dataset.title;
    const icon = document.getElementById("icon");
    if (icon.getAttribute("href") !== page.dataset.icon) icon.setAttribute("href", page.dataset.icon);
  }

  // morph makes the element a like b. Children with an id are found by it, the others by their place and kind.
  function morph(a, b) {
    for (const { name } of [...a.attributes]) if (!b.hasAttribute(name) && !kept(a, name)) a.removeAttribute(name);
    for (const { name, value } of b.attributes) if (a.getAttribute(name) !== value && !kept(a, name)) a.setAttribute(name, value);
    let at = a.firstChild;
    for (const want of [...b.childNodes]) {
      let have = want.id ? [...a.children].find((c) => c.id === want.id) : at;
      if (have && have !== at) a.insertBefore(have, at);
      if (have && have.nodeType === want.nodeType && have.nodeName === want.nodeName && (have.id || "") === (want.id || "")) {
        if (have.nodeType === Node.ELEMENT_NODE) morph(have, want);
        else if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
        at = have.nextSibling;
      } else {
        a.insertBefore(document.importNode(want, true), at);
        if (at && !at.id && !want.id) { const old = at; at = at.nextSibling; old.remove(); }
      }
    }
    while (at) { const old = at; at = at.nextSibling; old.remove(); }
  }

  // What the reader did to an element is not the server's to undo.
  function kept(el, name) {
    return (el.nodeName === "DETAILS" && name === "open") || (el.nodeName === "BUTTON" && name === "disabled");
  }

  document.addEventListener("submit", async (e) => {
    const form = e.target;
    if (!form.action.includes("/api/")) return;
    e.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const r = await fetch(form.action, { method: "POST", headers: { "Stixbridge-Action": "1" } });
      if (!r.ok) throw new Error((await r.json()).error || r.statusText);
      form.closest("details")?.removeAttribute("open");
    } catch (err) {
      alert(err.message);
    } finally {
      button.disabled = false;
    }
  });

  // A hidden page costs the bridge nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stream.close();
    else if (stream.readyState === EventSource.CLOSED) connect();
  });
  setInterval(() => {
    if (!document.hidden && Date.now() - heard > quiet) root.dataset.live = "off";
  }, 1000);

  connect();
})();
