// Which subreddits are watched, how closely, and what Reddit says of them; operators change it.
import * as api from "../api.js";
import { h, scrollRegion, setText, toast } from "../dom.js";
import { count, decimal, duration, plural, when } from "../format.js";
import { ask } from "../parts/dialog.js";
import { options } from "../parts/filters.js";
import { emptyState, errorNotice } from "../parts/states.js";
import { readState, writeState } from "../urlstate.js";

const DEFAULTS = { search: "", status: "", priority: "", sort: "name" };
const STATUSES = [
  ["", "Any status"],
  ["ok", "OK"],
  ["pending", "Pending"],
  ["paused", "Paused"],
  ["refused", "Refused"],
];
const TIERS = [
  ["", "Any tier"],
  ["fast", "Fast"],
  ["medium", "Medium"],
  ["slow", "Slow"],
];
const SORTS = [
  ["name", "By name"],
  ["posts_per_hour", "Busiest first"],
  ["last_polled_at", "Longest not polled"],
  ["changed_at", "Changed last"],
];
const KINDS = { ok: "good", pending: "warn", paused: "", refused: "bad" };
const PAGE_SIZE = 1000;
const REFRESH_MS = 10_000;
const PATH = "/api/subreddits/";

const orders = {
  name: (a, b) => a.name.localeCompare(b.name),
  posts_per_hour: (a, b) => b.posts_per_hour - a.posts_per_hour,
  last_polled_at: (a, b) => (a.last_polled_at ?? "").localeCompare(b.last_polled_at ?? ""),
  changed_at: (a, b) => (b.changed_at ?? "").localeCompare(a.changed_at ?? ""),
};

export async function mount(root, { signal, session, live }) {
  const state = readState(DEFAULTS);
  const mayChange = session.role !== "reader";
  const chosen = new Set();
  let items = [];
  live.filter({ ids: ["0"] }); // nothing here is live: the stream need not send what nobody sees

  const failed = h("div");
  const summary = h("span", { class: "quiet" });
  const rows = h("tbody");
  const none = h("div");
  const every = h("input", { type: "checkbox", "aria-label": "Choose all that are shown" });
  const table = h(
    "table",
    { class: "subreddits-table" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        mayChange ? h("th", { scope: "col" }, every) : null,
        ["Subreddit", "Status", "Tier"].map((text) => h("th", { scope: "col" }, text)),
        ["Interval", "Posts an hour", "Last polled", "Next", "Changed"].map((text) =>
          h("th", { scope: "col", class: "number" }, text),
        ),
        mayChange ? h("th", { scope: "col" }, h("span", { class: "unseen" }, "Actions")) : null,
      ),
    ),
    rows,
  );
  const search = h("input", {
    type: "search",
    class: "input",
    value: state.search,
    placeholder: "Find a subreddit",
    "aria-label": "Find a subreddit",
  });
  const select = (label, name, choices) =>
    h(
      "select",
      { class: "input", "aria-label": label, onchange: ({ target }) => set({ [name]: target.value }) },
      options(choices, state[name]),
    );
  const many = manyBar();
  search.addEventListener("input", () => set({ search: search.value.trim() }));
  every.addEventListener("change", () => {
    for (const { name } of shownItems()) every.checked ? chosen.add(name) : chosen.delete(name);
    show();
  });
  root.append(
    h(
      "div",
      { class: "head" },
      h("h1", {}, "Subreddits"),
      h("div", { class: "grow" }, summary),
      h("a", { class: "button", href: "/api/subreddits.csv", download: "subreddits.csv" }, "Export CSV"),
      mayChange
        ? [
            h("button", { class: "button", type: "button", onclick: importCsv }, "Import CSV"),
            h("button", { class: "button primary", type: "button", onclick: add }, "Add subreddits"),
          ]
        : null,
    ),
    failed,
    h(
      "section",
      { class: "card", "aria-label": "Watched subreddits" },
      h(
        "header",
        { class: "filters start" },
        search,
        select("Status", "status", STATUSES),
        select("Tier", "priority", TIERS),
        select("Order", "sort", SORTS),
      ),
      many.element,
      scrollRegion("Table of subreddits", table),
      none,
    ),
  );

  function set(change) {
    Object.assign(state, change);
    writeState(state, DEFAULTS);
    show();
  }

  const shownItems = () =>
    items
      .filter(
        (item) =>
          item.name.toLowerCase().includes(state.search.toLowerCase()) &&
          (!state.status || item.status === state.status) &&
          (!state.priority || item.priority === state.priority),
      )
      .sort(orders[state.sort] ?? orders.name);

  async function load() {
    try {
      const fresh = [];
      let cursor = null;
      do {
        const page = await api.get(PATH, { page_size: PAGE_SIZE, cursor }, signal);
        fresh.push(...page.items);
        cursor = page.next;
      } while (cursor);
      items = fresh;
      failed.replaceChildren();
      show();
    } catch (error) {
      if (!signal.aborted) failed.replaceChildren(errorNotice(error, load));
    }
  }

  function show() {
    const shown = shownItems();
    const names = new Set(items.map(({ name }) => name));
    for (const name of chosen) if (!names.has(name)) chosen.delete(name);
    const focused = document.activeElement?.dataset?.focus;
    rows.replaceChildren(...shown.map(row));
    if (focused) rows.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    every.checked = shown.length > 0 && shown.every(({ name }) => chosen.has(name));
    every.indeterminate = !every.checked && chosen.size > 0;
    const active = items.filter(({ status }) => status === "ok").length;
    setText(
      summary,
      `${plural(items.length, "subreddit", "subreddits")}, ${count(active)} polled, ${decimal(items.reduce((sum, item) => sum + item.posts_per_hour, 0))} posts an hour`,
    );
    none.replaceChildren(
      ...(shown.length
        ? []
        : [
            items.length
              ? emptyState("No subreddit matches", "Clear the search or choose another status.")
              : emptyState("Nothing is watched", "Add subreddits, or import them from a CSV file."),
          ]),
    );
    many.show();
  }

  function row(item) {
    const box = h("input", {
      type: "checkbox",
      checked: chosen.has(item.name),
      "aria-label": `Choose r/${item.name}`,
      "data-focus": `choose ${item.name}`,
      onchange: ({ target }) => {
        target.checked ? chosen.add(item.name) : chosen.delete(item.name);
        show();
      },
    });
    const waits = item.effective_at && Date.parse(item.effective_at) > Date.now();
    const by = item.changed_by ? `by ${item.changed_by}` : "";
    return h(
      "tr",
      { "data-name": item.name },
      mayChange ? h("td", {}, box) : null,
      h("th", { scope: "row" }, h("a", { href: `/?subreddit=${encodeURIComponent(item.name)}` }, `r/${item.name}`)),
      h(
        "td",
        {},
        h(
          "span",
          { class: `chip ${KINDS[item.status]}`, title: item.checked_at ? `Reddit said so ${item.checked_at}` : "" },
          h("span", {}, item.status === "refused" ? item.state : item.status),
        ),
        waits
          ? h(
              "span",
              { class: "quiet soon", title: "The poller goes by the change then at the latest" },
              " in effect ",
              when(item.effective_at),
            )
          : null,
      ),
      h("td", {}, item.priority),
      h("td", { class: "number" }, duration(item.interval_seconds)),
      h("td", { class: "number" }, decimal(item.posts_per_hour)),
      h("td", { class: "number" }, when(item.last_polled_at)),
      h("td", { class: "number" }, item.next_poll_at ? when(item.next_poll_at) : "–"),
      h(
        "td",
        { class: "number", title: by },
        item.changed_at ? [when(item.changed_at), h("span", { class: "quiet" }, ` ${by}`)] : "–",
      ),
      mayChange
        ? h(
            "td",
            { class: "actions" },
            h(
              "button",
              {
                class: "button small",
                type: "button",
                "data-focus": `pause ${item.name}`,
                "aria-label": `${item.paused ? "Resume" : "Pause"} r/${item.name}`,
                onclick: (event) => change(event, [item.name], { paused: !item.paused }),
              },
              item.paused ? "Resume" : "Pause",
            ),
            h(
              "button",
              {
                class: "button small",
                type: "button",
                "data-focus": `edit ${item.name}`,
                "aria-label": `Edit r/${item.name}`,
                onclick: () => edit([item.name], item),
              },
              "Edit",
            ),
          )
        : null,
    );
  }

  async function change(event, names, wish) {
    const button = event.currentTarget;
    // A button that is disabled loses the focus, and load() makes another one in its place.
    const hadFocus = document.activeElement === button;
    button.disabled = true;
    try {
      if (names.length === 1) await api.patch(`${PATH}${encodeURIComponent(names[0])}/`, wish);
      else await api.patch(PATH, { names, ...wish });
      const what = "paused" in wish ? (wish.paused ? "Paused" : "Resumed") : "Changed";
      toast(`${what} ${named(names)}. The poller follows within a minute.`);
      await load();
    } catch (error) {
      toast(`${error.title}: ${error.detail}`);
    }
    button.disabled = false;
    if (!hadFocus || document.activeElement !== document.body) return;
    (button.isConnected ? button : rows.querySelector(`[data-focus="${CSS.escape(button.dataset.focus)}"]`))?.focus({
      preventScroll: true,
    });
  }

  async function edit(names, item = null) {
    const tier = h("select", { name: "priority" }, options([["", "as it is"], ...TIERS.slice(1)], ""));
    const interval = h("input", {
      type: "number",
      name: "interval",
      min: 5,
      max: 86_400,
      placeholder: item ? String(item.interval_seconds) : "as the tier has it",
    });
    const done = await ask({
      title: `Edit ${named(names)}`,
      confirm: "Save",
      fields: [
        h("label", { class: "field" }, "Tier", tier),
        h("label", { class: "field" }, "Longest time between two looks, in seconds", interval),
      ],
      act: () =>
        api.patch(PATH, {
          names,
          ...(tier.value && { priority: tier.value }),
          ...(interval.value && { interval_seconds: Number(interval.value) }),
        }),
    });
    if (done) {
      toast(`Changed ${named(names)}. The poller follows within a minute.`);
      load();
    }
  }

  async function remove(names) {
    const done = await ask({
      title: `Watch ${named(names)} no more?`,
      confirm: "Remove",
      danger: true,
      fields: h("p", {}, "Posts that were seen stay. Adding a subreddit again later brings it back."),
      act: async () => {
        await api.post(`${PATH}remove/`, { names });
        return true;
      },
    });
    if (done) {
      toast(`Removed ${named(names)}.`);
      load();
    }
  }

  async function add() {
    const names = h("textarea", { name: "names", required: true, placeholder: "rust\nr/golang, python" });
    const tier = h("select", { name: "priority" }, options(TIERS.slice(1), "medium"));
    const done = await ask({
      title: "Add subreddits",
      confirm: "Add",
      fields: [
        h("label", { class: "field" }, "Names, with or without r/", names),
        h("label", { class: "field" }, "Tier", tier),
        h("p", { class: "quiet" }, "They are pending until Reddit has shown them, which takes up to a minute."),
      ],
      act: () => api.post(PATH, { names: names.value.split(/[\s,]+/).filter(Boolean), priority: tier.value }),
    });
    if (done) {
      toast(`Added ${named(done.map(({ name }) => name))}.`);
      load();
    }
  }

  async function importCsv() {
    const file = h("input", { type: "file", accept: ".csv,text/csv", required: true });
    const outcome = h(
      "p",
      { class: "quiet", role: "status" },
      "Columns: name, interval_seconds, priority and, if you like, paused.",
    );
    const send = (dry) =>
      api.call("POST", "/api/subreddits.csv", {
        parameters: { dry_run: dry ? "true" : null },
        body: file.files[0],
        headers: { "Content-Type": "text/csv" },
      });
    file.addEventListener("change", async () => {
      try {
        const would = await send(true);
        setText(
          outcome,
          `${plural(would.rows, "row", "rows")}: ${count(would.added.length)} new, ${count(would.changed.length)} changed, ${count(would.unchanged)} as they are.`,
        );
      } catch (error) {
        setText(outcome, error.detail);
      }
    });
    const done = await ask({
      title: "Import subreddits",
      confirm: "Import",
      fields: [h("label", { class: "field" }, "CSV file", file), outcome],
      act: () => send(false),
    });
    if (done) {
      toast(`Imported: ${count(done.added.length)} new, ${count(done.changed.length)} changed.`);
      load();
    }
  }

  function manyBar() {
    const text = h("span", { role: "status" });
    const act = (label, action, kind = "") =>
      h(
        "button",
        { class: `button small ${kind}`, type: "button", onclick: (event) => action(event, [...chosen]) },
        label,
      );
    const element = h(
      "div",
      { class: "many", hidden: true },
      text,
      act("Pause", (event, names) => change(event, names, { paused: true })),
      act("Resume", (event, names) => change(event, names, { paused: false })),
      act("Tier and interval", (_, names) => edit(names)),
      act("Remove", (_, names) => remove(names), "danger"),
    );
    return {
      element,
      show() {
        element.hidden = chosen.size === 0;
        setText(text, `${count(chosen.size)} chosen`);
      },
    };
  }

  const timer = setInterval(() => {
    if (!document.hidden && !document.querySelector("dialog[open]")) load();
  }, REFRESH_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  await load();
}

const named = (names) => (names.length === 1 ? `r/${names[0]}` : plural(names.length, "subreddit", "subreddits"));
