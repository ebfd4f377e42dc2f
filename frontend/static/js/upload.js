// Files dropped anywhere on the page, or chosen in its form, go up one after the other; each becomes a job.
// <form data-upload data-max> is the plain form that does the same without a script.
const form = document.querySelector("form[data-upload]");
const zone = document.querySelector("[data-drop-zone]");
const cover = document.querySelector("[data-drop-cover]");
const list = document.querySelector("[data-uploads]");
const pattern = document.querySelector("template[data-upload-row]");
const AGAIN_MS = 3000; // The portal takes a few uploads at a time, and says so.
const TRIES = 20;
const MEGABYTE = 2 ** 20;
const waiting = [];
let busy = false;
let depth = 0;

const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
const number = new Intl.NumberFormat(document.documentElement.lang || "en", { maximumFractionDigits: 1 });
const size = (octets) => (octets < MEGABYTE ? `${number.format(octets / 1024)} KB` : `${number.format(octets / MEGABYTE)} MB`);

function over(state) {
  if (cover) cover.hidden = !state;
  zone?.classList.toggle("over", state);
}

// dragenter comes for the new element before dragleave for the old one: count, or it flickers.
document.addEventListener("dragenter", (event) => { if (holdsFiles(event)) { depth += 1; over(true); } });
document.addEventListener("dragleave", (event) => { if (holdsFiles(event)) { depth = Math.max(0, depth - 1); if (!depth) over(false); } });
document.addEventListener("dragover", (event) => { if (holdsFiles(event)) event.preventDefault(); });
document.addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  depth = 0;
  over(false);
  const folders = [...event.dataTransfer.items].filter((item) => item.webkitGetAsEntry?.()?.isDirectory);
  const files = [...event.dataTransfer.files].filter((file, at) => !event.dataTransfer.items[at]?.webkitGetAsEntry?.()?.isDirectory);
  if (folders.length) say(list.dataset.folder);
  add(files);
});
addEventListener("beforeunload", (event) => { if (busy) event.preventDefault(); });

form.addEventListener("submit", (event) => {
  const files = [...form.elements.file.files];
  if (!files.length) return; // The browser, or the portal, says what is missing.
  event.preventDefault();
  form.elements.file.value = "";
  add(files);
});
// Chosen is as good as dropped.
form.elements.file.addEventListener("change", () => form.requestSubmit());

function say(sentence) {
  const line = document.createElement("p");
  line.className = "notice warn";
  line.textContent = sentence;
  list.hidden = false;
  list.append(line);
}

function add(files) {
  for (const file of files) {
    const row = pattern.content.firstElementChild.cloneNode(true);
    row.querySelector("[data-name]").textContent = file.name;
    row.querySelector("[data-size]").textContent = size(file.size);
    row.querySelector("progress").setAttribute("aria-label", file.name);
    list.hidden = false;
    list.append(row);
    waiting.push({ file, row });
  }
  list.scrollIntoView({ block: "nearest" });
  if (!busy) run();
}

async function run() {
  busy = true;
  const went = [];
  let failed = false;
  while (waiting.length) {
    const { file, row } = waiting.shift();
    const result = await up(file, row);
    row.dataset.state = result.url ? "done" : "failed";
    note(row, result.url ? list.dataset.done : result.message);
    if (result.url) went.push(link(row, result.url)); else failed = true;
  }
  busy = false;
  // With one there is nothing to read here; of many, the list of jobs tells. What failed stays in sight.
  if (!failed && went.length) location.assign(went.length === 1 ? went[0] : list.dataset.jobs);
}

function link(row, url) {
  const name = row.querySelector("[data-name]");
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.textContent = name.textContent;
  name.replaceChildren(anchor);
  return url;
}

const note = (row, text) => { row.querySelector("[data-note]").textContent = text; };

async function up(file, row) {
  if (file.size > Number(form.dataset.max)) return { message: list.dataset.large };
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const answer = await send(file, row);
    if (answer.status !== 503) return read(answer);
    note(row, list.dataset.queue);
    await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
  }
  return { message: list.dataset.failed };
}

function send(file, row) {
  const body = new FormData();
  body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  body.append("label", form.elements.label.value);
  body.append("file", file);
  const bar = row.querySelector("progress");
  return new Promise((resolve) => {
    // fetch() does not tell how much has gone up.
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => {
      if (!event.lengthComputable) return;
      bar.value = event.loaded / event.total;
      note(row, event.loaded < event.total ? `${Math.floor(100 * bar.value)} %` : list.dataset.keeping);
    };
    request.onloadend = () => resolve({ status: request.status, text: request.responseText });
    request.send(body);
  });
}

function read({ status, text }) {
  if (status === 413) return { message: list.dataset.large };
  try {
    const said = JSON.parse(text);
    if (status === 202 || said.message) return said;
  } catch {
    // Not ours: a proxy, a sign-in page, or nothing at all.
  }
  return { message: list.dataset[status === 403 ? "forbidden" : "failed"] };
}
