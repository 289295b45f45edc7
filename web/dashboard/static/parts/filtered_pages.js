// A list that is read page by page, by filters that stand in the address: signals, stories.
import * as api from "../api.js";
import { h, replaceKeepingFocus } from "../dom.js";
import { Latest } from "../latest.js";
import { writeState } from "../urlstate.js";
import { button, field, options } from "./form.js";
import { subredditName } from "./names.js";
import { emptyState, errorNotice } from "./states.js";

const PAGE_SIZE = 20;
const REFRESH_MS = 15_000;

/**
 * Keeps `list` up to date while `signal` is not aborted, unless somebody reads in it.
 *
 * `filters()`: the parameters of `path` that the state stands for. `show(items)` shows a page. `many` and `none` name
 * the items. Returns {start(), below, select(label, name), subreddits()}: `start` loads the first page, `below` has the
 * buttons that turn pages, and the other two make fields that change the state.
 */
export function filteredPages({ path, filters, show, list, state, defaults, choices, many, none, signal }) {
  const loads = new Latest(signal);
  const below = h("div", { class: "below" });
  // Of the page that is shown; null for the newest.
  let cursor = null;

  const load = () =>
    loads.load({
      ask: () => api.get(path, { ...filters(), page_size: PAGE_SIZE, cursor }, signal),
      show({ items, next }) {
        show(items);
        const newest = cursor && button("Newest", "", () => turnTo(null), { "data-focus": "newest" });
        const older = next && button(`Older ${many}`, "", () => turnTo(next), { "data-focus": "older" });
        const empty = !items.length && emptyState(none, "Widen the time range or clear a filter.");
        replaceKeepingFocus(below, ...[empty, newest, older].filter(Boolean));
      },
      fail: (error) => below.replaceChildren(errorNotice(error, load)),
    });

  function turnTo(page) {
    cursor = page;
    return load();
  }

  function change(name, value) {
    state[name] = value;
    writeState(state, defaults);
    turnTo(null);
  }

  function select(label, name) {
    const element = h("select", { onchange: () => change(name, element.value) }, options(choices[name], state[name]));
    return field(label, element);
  }

  function subreddits() {
    const asked = () =>
      names.value
        .split(/[\s,]+/)
        .map(subredditName)
        .filter(Boolean);
    const names = h("input", {
      value: state.subreddit.join(", "),
      placeholder: "python, rust",
      onchange: () => change("subreddit", asked()),
    });
    return field("Subreddits", names);
  }

  function start() {
    loads.repeat(load, REFRESH_MS, () => list.matches(":hover, :focus-within"));
    return load();
  }

  return { start, below, select, subreddits };
}
