// What is shown in place of data: when it could not be loaded, and when there is none.
import { h } from "../dom.js";

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

/** Says that there is nothing to show, and what would change that. */
export const emptyState = (title, advice, ...children) =>
  h("div", { class: "empty" }, h("strong", {}, title), advice, ...children);
