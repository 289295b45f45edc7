// What is shown in place of data: when it could not be loaded, and when there is none.
import { h } from "../dom.js";
import { leftOut, textOf } from "../urlstate.js";

/** What went wrong and, if `again` is given, a button that calls it. */
export function errorNotice(error, again) {
  const title = error.title ?? "This page failed";
  const detail = error.detail || error.message;
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("strong", {}, title),
    detail,
    again && h("div", {}, h("button", { class: "button small", type: "button", onclick: again }, "Try again")),
  );
}

/** Names what the address asks for and the page with these defaults and values cannot do; null if there is nothing. */
export function unknownNotice(defaults, values) {
  const unknown = leftOut(defaults, values);
  if (!unknown.length) return null;
  const known = Object.keys(defaults).map((name) => (values[name] ? `${name} (${textOf(values[name])})` : name));
  return h(
    "div",
    { class: "notice warn", role: "alert" },
    h("strong", {}, `Left out: ${unknown.join(", ")}`),
    known.length
      ? `The address of this page may have ${known.join(", ")}.`
      : "The address of this page has no filters.",
  );
}

/** Says that there is nothing to show, and what would change that. */
export const emptyState = (title, advice, ...children) =>
  h("div", { class: "empty" }, h("strong", {}, title), advice, ...children);
