// Which subreddits are watched, how often, and what Reddit says about them. Operators and admins change it here.
import * as api from "../api.js";
import { focusOn, h, replaceKeepingFocus, scrollRegion, setText, toast } from "../dom.js";
import { count, decimal, duration, NONE, plural, when } from "../format.js";
import { Latest } from "../latest.js";
import { isDialogOpen } from "../parts/dialog.js";
import { button, options } from "../parts/form.js";
import { pageHead, quiet } from "../parts/layout.js";
import { subredditLink } from "../parts/links.js";
import { emptyState, errorNotice } from "../parts/states.js";
import {
  addDialog,
  doneInWords,
  editDialog,
  importDialog,
  PATH,
  PRIORITIES,
  removeDialog,
} from "../parts/subreddit_dialogs.js";
import { tableHead } from "../parts/table.js";
import { trendingCard } from "../parts/trending.js";
import { readState, valuesOf, writeState } from "../urlstate.js";

export const DEFAULTS = { search: "", status: "", priority: "", sort: "name" };
const STATUSES = [
  ["", "Any status"],
  ["ok", "OK"],
  ["pending", "Pending"],
  ["paused", "Paused"],
  ["refused", "Refused"],
];
const STATUS_COLOURS = { ok: "good", pending: "warn", paused: "", refused: "bad" };
const SORTS = [
  ["name", "By name"],
  ["posts_per_hour", "Busiest first"],
  ["last_polled_at", "Longest not polled"],
  ["changed_at", "Changed last"],
];
export const VALUES = {
  status: valuesOf(STATUSES),
  priority: ["", ...valuesOf(PRIORITIES)],
  sort: valuesOf(SORTS),
};
const COMPARE = {
  name: (a, b) => a.name.localeCompare(b.name),
  posts_per_hour: (a, b) => b.posts_per_hour - a.posts_per_hour,
  last_polled_at: (a, b) => (a.last_polled_at ?? "").localeCompare(b.last_polled_at ?? ""),
  changed_at: (a, b) => (b.changed_at ?? "").localeCompare(a.changed_at ?? ""),
};
const COLUMNS = [
  { label: "Subreddit" },
  { label: "Status" },
  { label: "Priority" },
  { label: "Longest interval", number: true },
  { label: "Posts an hour", number: true },
  { label: "Last polled", number: true },
  { label: "Next", number: true },
  { label: "Changed", number: true },
];
const PAGE_SIZE = 1000;
const REFRESH_MS = 10_000;

/** Show the page in `root` until `signal` aborts. */
export async function mount(root, { signal, session, live }) {
  live.pause();
  const state = readState(DEFAULTS, VALUES);
  const mayChange = session.role !== "reader";
  const loads = new Latest(signal);
  let items = [];
  // The names of the subreddits that are marked, to change many at once.
  const chosen = new Set();

  const failed = h("div");
  const summary = quiet();
  const rows = h("tbody");
  const none = h("div");
  const all = h("input", { type: "checkbox", "aria-label": "Choose all that are shown", onchange: chooseShown });
  const actions = h("span", { class: "unseen" }, "Actions");
  const columns = mayChange ? [{ label: all }, ...COLUMNS, { label: actions }] : COLUMNS;
  const many = manyBar();
  const trending = trendingCard({ signal, mayChange, watched: () => load() });
  root.append(
    pageHead(
      "Subreddits",
      summary,
      h("a", { class: "button", href: "/api/subreddits.csv", download: "subreddits.csv" }, "Export CSV"),
      mayChange && button("Import CSV", "", () => showDone(importDialog(signal))),
      mayChange && button("Add subreddits", "primary", () => showDone(addDialog())),
    ),
    failed,
    h(
      "section",
      { class: "card", "aria-label": "Watched subreddits" },
      h(
        "header",
        { class: "filters" },
        searchField(),
        select("Status", "status", STATUSES),
        select("Priority", "priority", [["", "Any priority"], ...PRIORITIES]),
        select("Order", "sort", SORTS),
      ),
      many.element,
      scrollRegion("Table of subreddits", h("table", { class: "subreddits-table" }, tableHead(columns), rows)),
      none,
    ),
    trending.element,
  );

  function searchField() {
    return h("input", {
      type: "search",
      class: "input",
      value: state.search,
      placeholder: "Find a subreddit",
      "aria-label": "Find a subreddit",
      oninput: ({ target }) => set({ search: target.value.trim() }),
    });
  }

  function select(label, name, choices) {
    const onchange = ({ target }) => set({ [name]: target.value });
    return h("select", { class: "input", "aria-label": label, onchange }, options(choices, state[name]));
  }

  function set(change) {
    Object.assign(state, change);
    writeState(state, DEFAULTS);
    show();
  }

  const load = () =>
    loads.load({
      ask: () => api.itemsOfPages(PATH, { page_size: PAGE_SIZE }, signal),
      show(fresh) {
        items = fresh;
        failed.replaceChildren();
        show();
      },
      fail: (error) => failed.replaceChildren(errorNotice(error, load)),
    });

  function shownItems() {
    const search = state.search.toLowerCase();
    const isShown = ({ name, status, priority }) =>
      name.toLowerCase().includes(search) &&
      (!state.status || status === state.status) &&
      (!state.priority || priority === state.priority);
    return items.filter(isShown).sort(COMPARE[state.sort] ?? COMPARE.name);
  }

  function show() {
    const shown = shownItems();
    const names = new Set(items.map(({ name }) => name));
    for (const name of chosen) if (!names.has(name)) chosen.delete(name);
    replaceKeepingFocus(rows, ...shown.map(row));
    all.checked = shown.length > 0 && shown.every(({ name }) => chosen.has(name));
    all.indeterminate = !all.checked && chosen.size > 0;
    const polled = count(items.filter(({ status }) => status === "ok").length);
    const perHour = decimal(items.reduce((sum, { posts_per_hour }) => sum + posts_per_hour, 0));
    setText(summary, `${plural(items.length, "subreddit", "subreddits")}, ${polled} polled, ${perHour} posts an hour`);
    if (shown.length) none.replaceChildren();
    else if (items.length)
      none.replaceChildren(emptyState("No subreddit matches", "Clear the search or choose another status."));
    else none.replaceChildren(emptyState("Nothing is watched", "Add subreddits, or import them from a CSV file."));
    many.show();
  }

  function choose(name, isChosen) {
    if (isChosen) chosen.add(name);
    else chosen.delete(name);
  }

  function chooseShown() {
    for (const { name } of shownItems()) choose(name, all.checked);
    show();
  }

  function row(item) {
    const number = (...content) => h("td", { class: "number" }, content);
    const by = item.changed_by ? `by ${item.changed_by}` : "";
    return h(
      "tr",
      { "data-name": item.name },
      mayChange && h("td", {}, chooseBox(item)),
      h("th", { scope: "row" }, subredditLink(item.name)),
      statusCell(item),
      h("td", {}, item.priority, item.comments && quiet(", with comments")),
      number(duration(item.interval_seconds)),
      number(decimal(item.posts_per_hour)),
      number(when(item.last_polled_at)),
      number(when(item.next_poll_at)),
      number(item.changed_at ? [when(item.changed_at), quiet(` ${by}`)] : NONE),
      mayChange && h("td", { class: "actions" }, rowButtons(item)),
    );
  }

  function chooseBox({ name }) {
    return h("input", {
      type: "checkbox",
      checked: chosen.has(name),
      "aria-label": `Choose r/${name}`,
      "data-focus": `choose ${name}`,
      onchange({ target }) {
        choose(name, target.checked);
        show();
      },
    });
  }

  function rowButtons(item) {
    const { name, paused } = item;
    const act = paused ? "Resume" : "Pause";
    return [
      button(act, "small", (event) => setPaused(event, [name], !paused), {
        "data-focus": `pause ${name}`,
        "aria-label": `${act} r/${name}`,
      }),
      button("Edit", "small", () => showDone(editDialog([name], item)), {
        "data-focus": `edit ${name}`,
        "aria-label": `Edit r/${name}`,
      }),
    ];
  }

  async function setPaused(event, names, paused) {
    const pressed = event.currentTarget;
    // A disabled button loses the focus, and load() puts another button in its place.
    const hadFocus = document.activeElement === pressed;
    pressed.disabled = true;
    try {
      if (names.length === 1) await api.patch(`${PATH}${encodeURIComponent(names[0])}/`, { paused });
      else await api.patch(PATH, { names, paused });
      toast(doneInWords(paused ? "Paused" : "Resumed", names));
      await load();
    } catch (error) {
      toast(`${error.title}: ${error.detail}`);
    }
    pressed.disabled = false;
    if (!hadFocus || document.activeElement !== document.body) return;
    if (pressed.isConnected) pressed.focus({ preventScroll: true });
    else focusOn(rows, pressed.dataset.focus);
  }

  /** Say what a dialog has done, if anything, and show it. */
  async function showDone(dialog) {
    const done = await dialog;
    if (!done) return;
    toast(done);
    load();
  }

  /** The bar that changes all chosen subreddits at once: {element, show()}. */
  function manyBar() {
    const text = h("span", { role: "status" });
    const element = h(
      "div",
      { class: "many", hidden: true },
      text,
      button("Pause", "small", (event) => setPaused(event, [...chosen], true)),
      button("Resume", "small", (event) => setPaused(event, [...chosen], false)),
      button("Priority and interval", "small", () => showDone(editDialog([...chosen]))),
      button("Remove", "small danger", () => showDone(removeDialog([...chosen]))),
    );
    function show() {
      element.hidden = chosen.size === 0;
      setText(text, `${count(chosen.size)} chosen`);
    }
    return { element, show };
  }

  loads.repeat(load, REFRESH_MS, isDialogOpen);
  await Promise.all([load(), trending.load()]);
}

function statusCell({ status, state, checked_at, effective_at }) {
  const isAhead = effective_at && Date.parse(effective_at) > Date.now();
  const title = checked_at ? `${state} since ${new Date(checked_at).toLocaleString()}` : "";
  return h(
    "td",
    {},
    h("span", { class: `chip ${STATUS_COLOURS[status]}`, title }, h("span", {}, status === "refused" ? state : status)),
    isAhead &&
      h(
        "span",
        { class: "quiet soon", title: "The poller goes by the change then at the latest" },
        " in effect ",
        when(effective_at),
      ),
  );
}
