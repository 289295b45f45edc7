// The theme: dark, light, or as the system has it.
import { icon } from "../dom.js";
import { button } from "./form.js";

const CHOICES = ["system", "light", "dark"];
const ICONS = { system: "system", light: "sun", dark: "moon" };

function remember(choice) {
  try {
    localStorage.setItem("theme", choice);
  } catch {
    // The browser stores nothing, so the choice holds until the page is closed.
  }
}

/** A button that changes to the next theme. Its event "theme" on the document tells charts to draw themselves again. */
export function themeSwitch() {
  const change = button("", "plain icon", next);
  let choice = document.documentElement.dataset.theme ?? "system";
  function show() {
    change.replaceChildren(icon(ICONS[choice]));
    change.title = `Theme: ${choice}`;
    change.setAttribute("aria-label", `Theme: ${choice}. Change it`);
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
  return change;
}
