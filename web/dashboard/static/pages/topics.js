// Stories: clusters of posts that tell the same, page by page, by filters in the address.
import { h } from "../dom.js";
import { filteredPages } from "../parts/filtered_pages.js";
import { card, pageHead, quiet } from "../parts/layout.js";
import { topicCard } from "../parts/topic.js";
import { rangeStart, readState, valuesOf } from "../urlstate.js";

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

/** Show the page in `root` until `signal` aborts. */
export async function mount(root, { live, signal }) {
  live.pause();
  const state = readState(DEFAULTS, VALUES);
  const list = h("ol", { class: "topic-list" });
  const pages = filteredPages({
    path: "/api/topics/",
    filters: () => ({ min_posts: state.least, since: rangeStart(state.range), subreddit: state.subreddit }),
    show: (items) => list.replaceChildren(...items.map(topicCard)),
    list,
    state,
    defaults: DEFAULTS,
    choices: CHOICES,
    many: "stories",
    none: "No such story",
    signal,
  });
  root.append(
    pageHead("Stories", quiet("posts that tell the same")),
    h(
      "form",
      { class: "signal-filters", "aria-label": "Stories", onsubmit: (event) => event.preventDefault() },
      pages.select("Posts", "least"),
      pages.select("Newest post within", "range"),
      pages.subreddits(),
    ),
    card({ title: "Newest post first", region: "topics" }, list, pages.below),
  );
  await pages.start();
}
