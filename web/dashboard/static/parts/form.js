// Small pieces of forms.
import { h } from "../dom.js";

/** A button that does something here; `kind` is one or more of primary, danger, small, plain and icon. */
export const button = (text, kind, onclick, attributes = {}) =>
  h("button", { class: `button ${kind}`, type: "button", onclick, ...attributes }, text);

/** A control with its label above it. */
export const field = (label, control) => h("label", { class: "field" }, label, control);

/** The options of a <select>, from pairs of value and text. */
export const options = (choices, chosen) =>
  choices.map(([value, text]) => h("option", { value, selected: value === chosen }, text));

/** Buttons of which one is pressed: `chosen()` is its value, `choose(value)` is called for another one. */
export function segments(label, choices, chosen, choose) {
  const buttons = choices.map(([value, text]) =>
    h("button", { type: "button", "data-value": value, onclick: () => press(value) }, text),
  );
  function show() {
    for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.value === chosen()));
  }
  function press(value) {
    choose(value);
    show();
  }
  show();
  return h("div", { class: "segments", role: "group", "aria-label": label }, buttons);
}
