// Questions to the reader, in the browser's own modal dialog: focus stays inside, Escape closes it, focus returns.
import { h } from "../dom.js";
import { errorNotice } from "./states.js";

/**
 * Ask with a form. `fields` are elements; `act(form)` does what was asked for and may raise a Problem, which is shown inside.
 * Resolves to what `act` returned, or undefined when it was cancelled.
 */
export function ask({ title, fields, confirm, act, danger = false }) {
  return new Promise((resolve) => {
    const failed = h("div");
    const submit = h("button", { class: danger ? "button danger" : "button primary", type: "submit" }, confirm);
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { id: "dialog-title" }, title),
      failed,
      fields,
      h(
        "div",
        { class: "actions" },
        h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Cancel"),
        submit,
      ),
    );
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
    let answer;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      submit.disabled = true;
      try {
        answer = await act(form);
        dialog.close();
      } catch (error) {
        failed.replaceChildren(errorNotice(error));
        submit.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
