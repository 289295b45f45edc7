// Stories: clusters of posts that tell the same, page by page, by filters in the address.
import * as api from "../api.js";
import { h, replaceKeepingFocus } from "../dom.js";
import { Latest } from "../latest.js";
import { button, field, options } from "../parts/form.js";
import { card, pageHead, quiet } from "../parts/layout.js";
import { subredditName } from "../parts/names.js";
import { emptyState, errorNotice } from "../parts/states.js";
import { topicCard } from "../parts/topic.js";
import { rangeStart, readState, valuesOf, writeState } from "../urlstate.js";

export const DEFAULTS = { least: "3", range: "all", subreddit: [] };
const CHOICES = {
  least: ["2", "3", "5", "10", "25"].map((least) => [least, `${least} or more`]),
  range: [
    ["24h", "Last 24 hours"],
    ["7d", "Last 7 days"],
    ["30d", "Last 30 days"],
    ["all", "All time"],
  ],
};
export const VALUES = Object.fromEntries(Object.entries(CHOICES).map(([name, choice]) => [name, valuesOf(choice)]));
const PAGE_SIZE = 20;
const REFRESH_MS = 15_000;

/** Show the page in `root` until `signal` aborts. */
export async function mount(root, { live, signal }) {
  live.pause();
  const state = readState(DEFAULTS, VALUES);
  const loads = new Latest(signal);
  const list = h("ol", { class: "topic-list" });
  const below = h("div", { class: "below" });
  // Of the page that is shown; null for the newest.
  let cursor = null;

  const asked = () => ({
    min_posts: state.least,
    since: rangeStart(state.range),
    subreddit: state.subreddit,
    page_size: PAGE_SIZE,
    cursor,
  });

  const load = () =>
    loads.load({
      ask: () => api.get("/api/topics/", asked(), signal),
      show({ items, next }) {
        list.replaceChildren(...items.map(topicCard));
        const newest = cursor && button("Newest", "", () => turnTo(null), { "data-focus": "newest" });
        const older = next && button("Older stories", "", () => turnTo(next), { "data-focus": "older" });
        const none = !items.length && emptyState("No such story", "Widen the time range or clear a filter.");
        replaceKeepingFocus(below, ...[none, newest, older].filter(Boolean));
      },
      fail: (error) => below.replaceChildren(errorNotice(error, load)),
    });

  function turnTo(page) {
    cursor = page;
    return load();
  }

  function change(name, value) {
    state[name] = value;
    writeState(state, DEFAULTS);
    turnTo(null);
  }

  const select = (label, name) => {
    const element = h("select", { onchange: () => change(name, element.value) }, options(CHOICES[name], state[name]));
    return field(label, element);
  };
  const names = h("input", {
    value: state.subreddit.join(", "),
    placeholder: "python, rust",
    onchange: () =>
      change(
        "subreddit",
        names.value
          .split(/[\s,]+/)
          .map(subredditName)
          .filter(Boolean),
      ),
  });
  root.append(
    pageHead("Stories", quiet("posts that tell the same")),
    h(
      "form",
      { class: "signal-filters", "aria-label": "Stories", onsubmit: (event) => event.preventDefault() },
      select("Posts", "least"),
      select("Newest post within", "range"),
      field("Subreddits", names),
    ),
    card({ title: "Newest post first", region: "topics" }, list, below),
  );
  loads.repeat(load, REFRESH_MS, () => list.matches(":hover, :focus-within"));
  await load();
}
