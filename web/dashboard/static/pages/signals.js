// All signals: those that go on and those that have ended, page by page, by filters in the address.
import * as api from "../api.js";
import { h, icon, replaceKeepingFocus } from "../dom.js";
import { download } from "../download.js";
import { Latest } from "../latest.js";
import { button, field, options } from "../parts/form.js";
import { card, pageHead, quiet } from "../parts/layout.js";
import { subredditName } from "../parts/names.js";
import { KINDS } from "../parts/signal.js";
import { SignalCards } from "../parts/signals.js";
import { emptyState, errorNotice } from "../parts/states.js";
import { rangeStart, readState, valuesOf, writeState } from "../urlstate.js";

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
const PAGE_SIZE = 20;
const REFRESH_MS = 15_000;

/** Show the page in `root` until `signal` aborts. */
export async function mount(root, { live, signal }) {
  live.pause();
  const state = readState(DEFAULTS, VALUES);
  const loads = new Latest(signal);
  const cards = new SignalCards(signal);
  const list = h("ol", { class: "signal-list" });
  const below = h("div", { class: "below" });
  // Of the page that is shown; null for the newest.
  let cursor = null;

  const filters = () => ({
    kind: state.kind,
    active: state.state === "active" ? "true" : null,
    since: rangeStart(state.range),
    subreddit: state.subreddit,
  });

  const load = () =>
    loads.load({
      ask: () => api.get("/api/signals/", { ...filters(), page_size: PAGE_SIZE, cursor }, signal),
      show({ items, next }) {
        list.replaceChildren(...items.map((one) => cards.of(one).element));
        cards.keep(items);
        const newest = cursor && button("Newest", "", () => turnTo(null), { "data-focus": "newest" });
        const older = next && button("Older signals", "", () => turnTo(next), { "data-focus": "older" });
        const none = !items.length && emptyState("No such signal", "Widen the time range or clear a filter.");
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
      select("Kind", "kind"),
      select("State", "state"),
      select("Begun within", "range"),
      field("Subreddits", names),
    ),
    card({ title: "Newest first", region: "signals" }, list, below),
  );
  loads.repeat(load, REFRESH_MS, () => list.matches(":hover, :focus-within"));
  await load();
}
