// The few components every page uses. No framework, no build step.
import "./live-region.js";
import "./moments.js";
import "./copy-text.js";

// Forms that act as soon as something is chosen.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-submit-on-change]");
  if (form) form.requestSubmit();
});

// Forms that save what changed, without a button.
document.addEventListener("change", async (event) => {
  const form = event.target.closest("form[data-save-on-change]");
  if (!form) return;
  const status = form.querySelector("[data-save-status]");
  const body = new FormData();
  body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  body.append(event.target.name, event.target.value);
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/plain" } });
    status.textContent = answer.ok ? form.dataset.saved : await answer.text();
  } catch {
    status.textContent = form.dataset.failed;
  }
});
document.addEventListener("submit", (event) => {
  if (event.target.matches("form[data-save-on-change]")) {
    event.preventDefault();
    document.activeElement?.blur();
  }
});

// "/" goes to the search box, as everywhere.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select, [contenteditable]")) return;
  const field = document.querySelector("[data-focus-key='/']");
  if (field) {
    event.preventDefault();
    field.focus();
    field.select();
  }
});
