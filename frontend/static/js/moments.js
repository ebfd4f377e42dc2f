// <relative-time datetime> says how long ago; <count-down datetime> how long still; both keep themselves fresh.
// <local-time datetime> is a moment on the reader's own clock.
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const words = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "auto", style: "short" });

class RelativeTime extends HTMLElement {
  static observedAttributes = ["datetime"];
  connectedCallback() {
    this.tick();
    this.timer = setInterval(() => this.tick(), 5000);
    // A live part that was read anew brings the server's coarser words along.
    this.changes = new MutationObserver(() => this.tick());
    this.changes.observe(this, { childList: true, characterData: true, subtree: true });
  }
  disconnectedCallback() { clearInterval(this.timer); this.changes.disconnect(); }
  attributeChangedCallback() { this.tick(); }
  tick() {
    const seconds = Math.round((Date.parse(this.getAttribute("datetime")) - Date.now()) / 1000);
    if (Number.isNaN(seconds)) return;
    const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1);
    const text = words.format(Math.min(0, Math.round(seconds / size)), unit);
    if (this.textContent !== text) this.textContent = text;
  }
}

class CountDown extends HTMLElement {
  static observedAttributes = ["datetime"];
  connectedCallback() { this.setAttribute("aria-live", "off"); this.tick(); this.timer = setInterval(() => this.tick(), 1000); }
  disconnectedCallback() { clearInterval(this.timer); }
  attributeChangedCallback() { this.tick(); }
  tick() {
    const left = Math.ceil((Date.parse(this.getAttribute("datetime")) - Date.now()) / 1000);
    if (Number.isNaN(left)) return;
    const clock = left >= 60 ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} min` : `${left} s`;
    const text = left > 0 ? `${this.dataset.before ?? ""} ${clock}${this.dataset.after ?? ""}`.trim() : this.dataset.over ?? "";
    if (this.textContent !== text) this.textContent = text;
    this.over = left <= 0;
    if (this.over) this.end();
  }
  // What ends with it, and what comes instead.
  end() {
    const [ends, then] = [this.dataset.ends, this.dataset.then].map((id) => id && document.getElementById(id));
    if (ends) ends.hidden = true;
    if (then) then.hidden = false;
  }
}

const timeOfDay = new Intl.DateTimeFormat(document.documentElement.lang || "en", { timeStyle: "medium", hourCycle: "h23" });
const dayAndTime = new Intl.DateTimeFormat(document.documentElement.lang || "en", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

class LocalTime extends HTMLElement {
  static observedAttributes = ["datetime"];
  connectedCallback() { this.tick(); }
  attributeChangedCallback() { this.tick(); }
  tick() {
    const moment = new Date(this.getAttribute("datetime"));
    if (Number.isNaN(moment.getTime())) return;
    const today = moment.toDateString() === new Date().toDateString();
    const text = (today ? timeOfDay : dayAndTime).format(moment);
    if (this.textContent !== text) this.textContent = text;
  }
}

customElements.define("local-time", LocalTime);
customElements.define("relative-time", RelativeTime);
customElements.define("count-down", CountDown);
