// What the posts of a time range have in common: when, where, about what, how fast, in which mood.
import * as api from "../api.js";
import { h } from "../dom.js";
import { when } from "../format.js";
import { Latest } from "../latest.js";
import { segments } from "../parts/form.js";
import { pageHead, quiet } from "../parts/layout.js";
import { errorNotice } from "../parts/states.js";
import { makeSections } from "../parts/statistics.js";
import { rangeStart, readState, writeState } from "../urlstate.js";

export const DEFAULTS = { range: "24h", rank: "engagement", all: false };
const RANGES = [
  ["1h", "1 h"],
  ["6h", "6 h"],
  ["24h", "24 h"],
  ["7d", "7 d"],
  ["30d", "30 d"],
];
const REFRESH_MS = 60_000;

/** Show the page in `root` until `signal` aborts. */
export async function mount(root, { signal, live }) {
  live.pause();
  const state = readState(DEFAULTS);
  const loads = new Latest(signal);
  let stats = null;
  let keywords = null;
  const fresh = quiet();
  const failed = h("div");
  const sections = makeSections(state, set, signal);
  const ranges = segments("Time range", RANGES, () => state.range, chooseRange);
  root.append(pageHead("Analytics", fresh, ranges), failed, sections.element);

  function set(change) {
    Object.assign(state, change);
    writeState(state, DEFAULTS);
    if (stats) sections.show(stats, keywords);
  }

  function chooseRange(range) {
    state.range = range;
    writeState(state, DEFAULTS);
    load();
  }

  async function load() {
    root.setAttribute("aria-busy", "true");
    await loads.load({
      ask: () => statistics(state.range, signal),
      show(answers) {
        [stats, keywords] = answers;
        failed.replaceChildren();
        fresh.replaceChildren("computed ", when(stats.computed_at));
        sections.show(stats, keywords);
      },
      fail: (error) => failed.replaceChildren(errorNotice(error, load)),
    });
    if (!loads.isWaiting) root.removeAttribute("aria-busy");
  }

  loads.repeat(load, REFRESH_MS);
  await load();
}

/** The statistics of a range and its keywords, or null for the keywords of a range that is too long for them. */
function statistics(range, signal) {
  // The server caches a named window for all readers. The longest range has no name, and keywords reach back one week.
  if (range === "30d") return Promise.all([api.get("/api/stats/", { start: rangeStart(range) }, signal), null]);
  const window = { window: range };
  return Promise.all([api.get("/api/stats/", window, signal), api.get("/api/keywords/", window, signal)]);
}
