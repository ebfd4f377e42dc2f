// <qr-scan>: camera, photo, and honest words about which of them is open and why. What it reads goes into the same
// form that a typed code does: the server parses it, never the page.
const LOOK_MS = 120;

class QrScan extends HTMLElement {
  connectedCallback() {
    this.status = this.querySelector("[data-status]");
    this.querySelector("[data-start]").addEventListener("click", () => this.start());
    this.querySelector("[data-photo]").addEventListener("change", (event) => this.photo(event.target.files[0]));
    if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
      this.querySelector("[data-start]").hidden = true;
      this.say(this.dataset.insecure);
    } else {
      this.startIfAllowed();
    }
  }

  disconnectedCallback() { this.stop(); }

  async startIfAllowed() {
    // A person who allowed the camera before wants to scan, not to press a button.
    try {
      const permission = await navigator.permissions.query({ name: "camera" });
      if (permission.state === "granted") this.start();
    } catch {
      // This browser cannot be asked; the button remains.
    }
  }

  say(text) { this.status.textContent = text; }

  async detector() {
    if (this.reader) return this.reader;
    if ("BarcodeDetector" in window && (await window.BarcodeDetector.getSupportedFormats()).includes("qr_code")) {
      this.reader = new window.BarcodeDetector({ formats: ["qr_code"] });
      return this.reader;
    }
    await load(this.dataset.decoder);
    const { BarcodeDetector, prepareZXingModule } = window.BarcodeDetectionAPI;
    prepareZXingModule({ overrides: { locateFile: () => this.dataset.wasm } });
    this.reader = new BarcodeDetector({ formats: ["qr_code"] });
    return this.reader;
  }

  async start() {
    if (this.stream) return;
    this.say(this.dataset.starting);
    try {
      const wanted = { video: { facingMode: "environment", width: { ideal: 1280 } }, audio: false };
      this.stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      this.say(error.name === "NotAllowedError" ? this.dataset.denied : this.dataset.missing);
      return;
    }
    const video = this.querySelector("video");
    video.srcObject = this.stream;
    await video.play();
    this.querySelector("[data-camera]").hidden = false;
    this.querySelector("[data-start]").hidden = true;
    this.say(this.dataset.looking);
    this.look(video, await this.detector());
  }

  async look(video, detector) {
    while (this.stream) {
      try {
        const [found] = await detector.detect(video);
        if (found) return this.found(found.rawValue);
      } catch {
        // A frame that could not be read; the next one comes.
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async photo(file) {
    if (!file) return;
    this.say(this.dataset.reading);
    try {
      const [found] = await (await this.detector()).detect(await createImageBitmap(file));
      if (found) return this.found(found.rawValue);
    } catch {
      // Not a picture: the same answer as a picture without a code.
    }
    this.say(this.dataset.nothing);
  }

  found(text) {
    this.stop();
    this.say(this.dataset.found);
    navigator.vibrate?.(60);
    const form = document.getElementById(this.dataset.form);
    form.elements.code.value = text;
    form.requestSubmit();
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }
}

function load(source) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}

customElements.define("qr-scan", QrScan);
