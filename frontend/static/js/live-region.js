// <live-region data-src data-live>: a part of the page that re-reads itself when the server says that something
// happened (WebSocket), or every five seconds where no socket can be had. Keeps focus: the new text is morphed in.
// With data-poll (milliseconds) and without data-live it asks at that pace, until it holds something [data-over].
const DEBOUNCE_MS = 150;
const POLL_MS = 5000;
const QUIET_MS = 20000; // A message that got lost costs no more than this.
const RETRY_MAX_MS = 30000;

class LiveRegion extends HTMLElement {
  connectedCallback() {
    this.retry = 1000;
    this.gone = false;
    this.lastRead = Date.now();
    this.open();
    this.poll = setInterval(() => {
      if (this.querySelector("[data-over]")) return;
      if (!this.connected || this.late() || Date.now() - this.lastRead > QUIET_MS) this.changed();
    }, Number(this.dataset.poll ?? POLL_MS));
    this.visible = () => { if (!document.hidden) { this.changed(); if (!this.connected) this.open(); } };
    document.addEventListener("visibilitychange", this.visible);
    // A form is on its way: what it changes will be told here too, and must not pull the page elsewhere.
    this.sent = (event) => { if (!event.defaultPrevented) this.gone = true; };
    window.addEventListener("submit", this.sent);
  }

  disconnectedCallback() {
    clearInterval(this.poll);
    clearTimeout(this.timer);
    clearTimeout(this.again);
    document.removeEventListener("visibilitychange", this.visible);
    window.removeEventListener("submit", this.sent);
    this.gone = true;
    this.socket?.close();
  }

  open() {
    if (!this.dataset.live || this.gone || (this.socket && this.socket.readyState < 2)) return;
    const cursor = this.querySelector("[data-cursor]")?.dataset.cursor ?? 0;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    try {
      this.socket = new WebSocket(`${scheme}//${location.host}${this.dataset.live}?after=${cursor}`);
    } catch {
      return;
    }
    this.socket.onopen = () => { this.connected = true; this.retry = 1000; };
    this.socket.onmessage = () => this.changed();
    this.socket.onclose = (event) => {
      this.connected = false;
      if (this.gone || event.code === 4403) return;
      this.again = setTimeout(() => this.open(), this.retry);
      this.retry = Math.min(this.retry * 2, RETRY_MAX_MS);
    };
  }

  // Something should have happened by now: that it did not is news as well.
  late() { return [...this.querySelectorAll("count-down")].some((moment) => moment.over); }

  changed() {
    if (document.hidden || this.timer || this.gone) return;
    this.timer = setTimeout(() => { this.timer = null; this.read(); }, Number(this.dataset.pause ?? DEBOUNCE_MS));
  }

  // One at a time: an answer that was overtaken by a newer one must not be the last to be shown.
  async read() {
    if (this.gone) return;
    if (this.reading) {
      this.stale = true;
      return;
    }
    this.reading = true;
    this.lastRead = Date.now();
    await this.fetchAndShow();
    this.reading = false;
    if (this.stale) {
      this.stale = false;
      this.changed();
    }
  }

  async fetchAndShow() {
    try {
      const answer = await fetch(this.dataset.src, {
        headers: { Accept: "text/html" },
        redirect: "manual",
        signal: AbortSignal.timeout(QUIET_MS),
      });
      // Gone, or signed out: the page itself says which.
      if (this.gone) return;
      if (answer.status === 404 || answer.type === "opaqueredirect") return this.leave(location.href);
      if (!answer.ok) return;
      await this.show(await answer.text());
    } catch {
      // Offline: what is shown stays, and the next try comes by itself.
    }
  }

  leave(target) {
    if (this.gone) return;
    this.gone = true;
    location.replace(target);
  }

  async show(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    if (this.dataset.leaveWhen && page.querySelector(this.dataset.leaveWhen)) {
      this.leave(this.dataset.leaveTo);
      return;
    }
    for (const part of page.querySelectorAll("template[data-for]")) {
      const target = document.getElementById(part.dataset.for);
      if (target) await morph(target, part.innerHTML);
      part.remove();
    }
    if (!this.hidden) await morph(this, page.body.innerHTML);
  }
}

async function morph(target, text) {
  await window.htmx.swap({ target, text, swap: "innerMorph", sourceElement: target });
  // The server's words for a moment came in; the page's own are nearer.
  for (const moment of target.querySelectorAll("relative-time, count-down, local-time")) moment.tick?.();
}

customElements.define("live-region", LiveRegion);
