// All signals: those that go on and those that have ended, page by page, by filters in the address.
import { h, icon } from "../dom.js";
import { download } from "../download.js";
import { filteredPages } from "../parts/filtered_pages.js";
import { button } from "../parts/form.js";
import { card, pageHead, quiet } from "../parts/layout.js";
import { KINDS } from "../parts/signal.js";
import { SignalCards } from "../parts/signals.js";
import { rangeStart, readState, valuesOf } from "../urlstate.js";

export const DEFAULTS = { kind: "", state: "", range: "all", subreddit: [] };
const CHOICES = {
  kind: [["", "All kinds"], ...KINDS],
  state: [
    ["", "All"],
    ["active", "Going on"],
  ],
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
  const cards = new SignalCards(signal);
  const list = h("ol", { class: "signal-list" });
  const filters = () => ({
    kind: state.kind,
    active: state.state === "active" ? "true" : null,
    since: rangeStart(state.range),
    subreddit: state.subreddit,
  });
  const pages = filteredPages({
    path: "/api/signals/",
    filters,
    show(items) {
      list.replaceChildren(...items.map((one) => cards.of(one).element));
      cards.keep(items);
    },
    list,
    state,
    defaults: DEFAULTS,
    choices: CHOICES,
    many: "signals",
    none: "No such signal",
    signal,
  });
  const exported = () => download("/api/export/signals/", { ...filters(), format: "csv" });
  root.append(
    pageHead(
      "Signals",
      quiet("what took off and what was unusual where it happened"),
      h("a", { class: "button", href: "/topics" }, "Stories"),
      button([icon("save"), "Export"], "", exported),
    ),
    h(
      "form",
      { class: "signal-filters", "aria-label": "Signals", onsubmit: (event) => event.preventDefault() },
      pages.select("Kind", "kind"),
      pages.select("State", "state"),
      pages.select("Begun within", "range"),
      pages.subreddits(),
    ),
    card({ title: "Newest first", region: "signals" }, list, pages.below),
  );
  await pages.start();
}
