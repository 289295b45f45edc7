// Questions in the browser's own modal dialog: it keeps the focus inside, closes by Escape and gives the focus back.
import { h } from "../dom.js";
import { button } from "./form.js";
import { errorNotice } from "./states.js";

/**
 * Ask with a form of these fields. The button with the text `confirm` calls `act`. A Problem that `act` throws is shown
 * in the dialog. Resolves to what `act` returned, or to undefined when the dialog was cancelled.
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
        button("Cancel", "", () => dialog.close()),
        submit,
      ),
    );
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
    let answer;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      submit.disabled = true;
      try {
        answer = await act();
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

/** Whether a dialog is open: a refresh would change what it asks about. */
export const isDialogOpen = () => document.querySelector("dialog[open]") !== null;
