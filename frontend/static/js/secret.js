// Shared secrets of access points: made in the browser, shown once, put into the lines to paste.
const ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const LENGTH = 24;

function generated() {
  let secret = "";
  while (secret.length < LENGTH) {
    const [octet] = crypto.getRandomValues(new Uint8Array(1));
    // Octets beyond the last whole alphabet would favour its first letters.
    if (octet < 256 - (256 % ALPHABET.length)) secret += ALPHABET[octet % ALPHABET.length];
  }
  return secret;
}

for (const form of document.querySelectorAll("[data-secret-form]")) {
  const input = form.querySelector("[data-secret]");
  const shown = document.querySelector("[data-secret-shown]");
  const unknown = shown?.textContent;
  const show = () => { if (shown) shown.textContent = input.value || unknown; };
  form.querySelector("[data-generate]").hidden = false;
  form.querySelector("[data-generate-button]").addEventListener("click", () => {
    input.value = generated();
    form.querySelector("[data-generated-text]").textContent = input.value;
    form.querySelector("[data-generated]").hidden = false;
    show();
  });
  input.addEventListener("input", () => {
    form.querySelector("[data-generated]").hidden = true;
    show();
  });
}
