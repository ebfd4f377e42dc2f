// <copy-text><code>…</code><button data-copied>…</button></copy-text>: copies, or selects where the browser forbids it.
class CopyText extends HTMLElement {
  connectedCallback() {
    this.addEventListener("click", async (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const code = this.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        const label = button.textContent;
        button.textContent = button.dataset.copied;
        setTimeout(() => { button.textContent = label; }, 2000);
      } catch {
        getSelection().selectAllChildren(code);
      }
    });
  }
}
customElements.define("copy-text", CopyText);
