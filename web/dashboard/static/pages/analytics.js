// What the posts of a time range have in common: when, where, about what, how fast, in which mood.
import * as api from "../api.js";
import { h } from "../dom.js";
import { absoluteTime, when } from "../format.js";
import { Latest } from "../latest.js";
import { comparison, MEASURES, SUBJECTS } from "../parts/comparison.js";
import { FILTER_VALUES, FILTERS, filterForm, filterParameters, hasDays, instant, TIMES } from "../parts/filters.js";
import { pageHead, quiet } from "../parts/layout.js";
import { errorNotice } from "../parts/states.js";
import { makeSections, RANKS } from "../parts/statistics.js";
import { rangeStart, readState, valuesOf, writeState } from "../urlstate.js";

const CHOSEN = { ...FILTERS, ...TIMES };
export const DEFAULTS = { ...CHOSEN, rank: "engagement", all: false, compare: [], measure: "posts" };
const RANGES = [
  ["1h", "1 hour"],
  ["6h", "6 hours"],
  ["24h", "24 hours"],
  ["7d", "7 days"],
  ["30d", "30 days"],
];
export const VALUES = {
  ...FILTER_VALUES,
  range: valuesOf(RANGES),
  rank: valuesOf(RANKS),
  measure: valuesOf(MEASURES),
  compare: SUBJECTS,
};
const CHOICES = { defaults: CHOSEN, ranges: RANGES };
const REFRESH_MS = 60_000;

/** Show the page in `root` until `signal` aborts. */
export async function mount(root, { signal, live }) {
  live.pause();
  const state = readState(DEFAULTS, VALUES);
  const loads = new Latest(signal);
  let stats = null;
  let keywords = null;
  const fresh = quiet();
  const failed = h("div");
  const formBox = h("div", { class: "filter-box" });
  const compared = comparison(state, set, signal);
  const sections = makeSections(state, showAgain, signal, compared);
  root.append(pageHead("Analytics", fresh), formBox, failed, sections.element);
  showForm();

  function showForm() {
    const filters = Object.fromEntries(Object.keys(CHOSEN).map((name) => [name, state[name]]));
    formBox.replaceChildren(filterForm(filters, choose, CHOICES));
  }

  function set(change) {
    Object.assign(state, change);
    writeState(state, DEFAULTS);
  }

  function showAgain(change) {
    set(change);
    if (stats) sections.show(stats, keywords);
  }

  function choose(filters, isCleared) {
    set(filters);
    if (isCleared) showForm();
    load();
  }

  async function load() {
    root.setAttribute("aria-busy", "true");
    const parameters = { ...filterParameters(state), ...windowParameters(state) };
    await Promise.all([
      compared.load(parameters),
      loads.load({
        ask: () => statistics(parameters, signal),
        show(answers) {
          [stats, keywords] = answers;
          failed.replaceChildren();
          const window = `posts created from ${absoluteTime(stats.start)} to ${absoluteTime(stats.end)}, computed `;
          fresh.replaceChildren(window, when(stats.computed_at));
          sections.show(stats, keywords);
        },
        fail: (error) => failed.replaceChildren(errorNotice(error, load)),
      }),
    ]);
    if (!loads.isWaiting) root.removeAttribute("aria-busy");
  }

  loads.repeat(load, REFRESH_MS);
  await load();
}

/** The API's parameters for the time of a state. The server caches a named window for all readers. */
function windowParameters(state) {
  const { range, created_from: first, created_to: last } = state;
  const created_to = instant(last);
  if (first) return { created_from: instant(first), created_to };
  // The longest range has no name.
  if (range !== "30d") return { window: range, created_to };
  return { created_from: rangeStart(range, hasDays(state) ? Date.parse(created_to) : Date.now()), created_to };
}

/** The statistics and the keywords; null for keywords that take too long, because the statistics have a few too. */
function statistics(parameters, signal) {
  const orNull = (error) => (error.status === 503 ? null : Promise.reject(error));
  return Promise.all([
    api.get("/api/stats/", parameters, signal),
    api.get("/api/keywords/", parameters, signal).catch(orNull),
  ]);
}
