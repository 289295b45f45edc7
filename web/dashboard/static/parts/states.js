// What stands in place of data: while it is missing, when there is none, and when it could not be had.
import { h } from "../dom.js";

/** An error, what to do about it, and a button to try again. */
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

/** Nothing to show, and what would change that. */
export const emptyState = (title, advice, ...children) =>
  h("div", { class: "empty" }, h("strong", {}, title), advice, ...children);
