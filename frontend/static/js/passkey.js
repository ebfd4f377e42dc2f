// Passkeys: sign in, show again that it is you, make one. Options come from the server, answers go into a form.

const bytes = (text) => {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
};

const text = (buffer) => {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};

const descriptors = (list) => (list ?? []).map((entry) => ({ ...entry, id: bytes(entry.id) }));

function toGet({ publicKey }) {
  return { ...publicKey, challenge: bytes(publicKey.challenge), allowCredentials: descriptors(publicKey.allowCredentials) };
}

function toCreate({ publicKey }) {
  return {
    ...publicKey,
    challenge: bytes(publicKey.challenge),
    user: { ...publicKey.user, id: bytes(publicKey.user.id) },
    excludeCredentials: descriptors(publicKey.excludeCredentials),
    authenticatorSelection: {
      ...publicKey.authenticatorSelection,
      residentKey: "required",
      requireResidentKey: true,
      userVerification: "required",
    },
  };
}

function toForm(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  if (credential.response.getTransports) response.transports = credential.response.getTransports();
  return JSON.stringify({
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    response,
    clientExtensionResults: credential.getClientExtensionResults(),
  });
}

async function optionsOf(form) {
  if (form.dataset.options) return JSON.parse(document.getElementById(form.dataset.options).textContent);
  const answer = await fetch(form.action, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`no options: ${answer.status}`);
  return answer.json();
}

let waiting = null;

async function ask(form, mediation) {
  const options = await optionsOf(form);
  waiting?.abort();
  waiting = new AbortController();
  const signal = waiting.signal;
  const credential = options.creation_options
    ? await navigator.credentials.create({ publicKey: toCreate(options.creation_options), signal })
    : await navigator.credentials.get({ publicKey: toGet(options.request_options), signal, ...mediation });
  form.elements.credential.value = toForm(credential);
  form.submit();
}

function say(form, error) {
  const place = form.querySelector("[data-passkey-error]");
  place.textContent = error.name === "NotAllowedError" ? place.dataset.refused : place.dataset.failed;
  place.hidden = false;
}

async function offerWhileTyping(form) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  try {
    await ask(form, { mediation: "conditional" });
  } catch (error) {
    if (error.name !== "AbortError") console.debug("passkey while typing:", error.name);
  }
}

const possible = window.isSecureContext && "PublicKeyCredential" in window;
for (const hint of document.querySelectorAll("[data-passkey-missing]")) hint.hidden = possible;
for (const only of document.querySelectorAll("[data-passkey-only]")) only.hidden = !possible;
for (const button of document.querySelectorAll("[data-mail-button]")) button.classList.toggle("primary", !possible);
for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.hidden = !possible;
  if (!possible) continue;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    form.querySelector("[data-passkey-error]").hidden = true;
    ask(form).catch((error) => error.name !== "AbortError" && say(form, error));
  });
  if (form.dataset.passkey === "sign-in") offerWhileTyping(form);
}
