// Adds and removes rows of the plan editor. Without it, ticks and blank rows do the same on the server.
const form = document.querySelector("[data-plan-editor]");
const rows = form.querySelector("[data-rows]");
const said = form.querySelector("[data-said]");
let made = 0;

function ready(row) {
  row.querySelector("[data-remove]").hidden = false;
  const tick = row.querySelector("[data-no-script]");
  if (tick) tick.hidden = true;
}

function refresh() {
  form.querySelector("[data-empty]").hidden = rows.children.length > 0;
}

form.querySelector("[data-adders]").hidden = false;
for (const row of rows.children) ready(row);

form.addEventListener("click", (event) => {
  const adder = event.target.closest("[data-add]");
  if (adder) {
    const pattern = document.querySelector(`template[data-kind="${adder.dataset.add}"]`);
    made += 1;
    rows.insertAdjacentHTML("beforeend", pattern.innerHTML.replaceAll("ROWKEY", `added${made}`));
    ready(rows.lastElementChild);
    rows.lastElementChild.querySelector("input:not([type=hidden]), select").focus();
    refresh();
  }
  const remover = event.target.closest("[data-remove]");
  if (remover) {
    const row = remover.closest("[data-row]");
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    said.textContent = said.dataset.removed;
    (next?.querySelector("[data-remove]") ?? form.querySelector("[data-add]")).focus();
    refresh();
  }
});
