// Dark, light, or as the system says.
import { h, icon } from "../dom.js";

const CHOICES = ["system", "light", "dark"];
const ICONS = { system: "system", light: "sun", dark: "moon" };

function remember(choice) {
  try {
    localStorage.setItem("theme", choice);
  } catch {
    // Storage is switched off: the choice holds until the page is left.
  }
}

/** A button that goes round the choices. Charts listen to the event "theme" of the document. */
export function themeSwitch() {
  const button = h("button", { class: "button plain icon", type: "button", onclick: next });
  let choice = document.documentElement.dataset.theme ?? "system";
  function show() {
    button.replaceChildren(icon(ICONS[choice]));
    button.title = `Theme: ${choice}`;
    button.setAttribute("aria-label", `Theme: ${choice}. Change it`);
  }
  function next() {
    choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
    if (choice === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    remember(choice);
    show();
    document.dispatchEvent(new Event("theme"));
  }
  show();
  return button;
}
