// The run history: each minute of polling and each job, with what came of it.
import * as api from "../api.js";
import { h, replaceKeepingFocus, scrollRegion } from "../dom.js";
import { count, duration, NONE, when } from "../format.js";
import { Latest } from "../latest.js";
import { valuesOf } from "../urlstate.js";
import { button, options } from "./form.js";
import { card, quiet } from "./layout.js";
import { emptyState, errorNotice } from "./states.js";
import { table } from "./table.js";

export const DEFAULTS = { run: "", ended: "" };
const KINDS = [
  ["", "All kinds"],
  ["polling", "Polling"],
  ["discovery", "Discovery"],
  ["first_look", "First look back"],
  ["second_look", "Second look"],
  ["once", "Asked for"],
  ["partitions", "Partitions"],
  ["rollup", "Rollup"],
  ["erasure", "Erasure"],
  ["trending", "Trending"],
  ["retention", "Retention"],
  ["resolved_letters", "Resolved letters"],
  ["compression", "Compression"],
];
const OUTCOMES = [
  ["", "All outcomes"],
  ["running", "Running"],
  ["ok", "OK"],
  ["partly", "Partly"],
  ["failed", "Failed"],
  ["idle", "Idle"],
  ["stopped", "Stopped"],
  ["silent", "Ended without saying"],
];
export const VALUES = { run: valuesOf(KINDS), ended: valuesOf(OUTCOMES) };
const COLOURS = { running: "accent", ok: "good", partly: "warn", failed: "bad", silent: "bad" };
const PAGE_SIZE = 20;
const REFRESH_MS = 5000;

const textOf = (choices, value) => choices.find(([known]) => known === value)?.[1] ?? value;

/** The box with the run history: {element, load()}. `state` has its filters; `keep()` puts them into the address. */
export function runsCard({ signal, state, keep }) {
  const loads = new Latest(signal);
  // Of the page that is shown; null for the newest runs.
  let cursor = null;
  const region = scrollRegion("Table of runs");
  const below = h("div");
  const selects = [select("Kind of runs", KINDS, "run"), select("Outcome of runs", OUTCOMES, "ended")];

  function select(label, choices, name) {
    const element = h(
      "select",
      {
        class: "input",
        "aria-label": label,
        onchange() {
          state[name] = element.value;
          keep();
          turnTo(null);
        },
      },
      options(choices, state[name]),
    );
    return element;
  }

  function turnTo(page) {
    cursor = page;
    load();
  }

  function show({ items, next }) {
    if (!items.length) {
      region.replaceChildren(emptyState("No such run", "Workers write what they do every five seconds."));
    } else replaceKeepingFocus(region, table(COLUMNS, items));
    const newest = cursor && button("Newest", "small", () => turnTo(null), { "data-focus": "newest runs" });
    const older = next && button("Older", "small", () => turnTo(next), { "data-focus": "older runs" });
    replaceKeepingFocus(below, newest || older ? h("div", { class: "below" }, newest, older) : "");
  }

  const load = () =>
    loads.load({
      ask: () => api.get("/api/runs/", { kind: state.run, outcome: state.ended, page_size: PAGE_SIZE, cursor }, signal),
      show,
      fail: (error) => region.replaceChildren(errorNotice(error, load)),
    });

  loads.repeat(load, REFRESH_MS);
  const about = quiet("each minute of polling, and each job");
  return { element: card({ title: "Run history", beside: about, end: selects, region: "runs" }, region, below), load };
}

const COLUMNS = [
  { label: "Started", cell: ({ started_at }) => when(started_at) },
  { label: "Kind", cell: (run) => kindOf(run) },
  { label: "Outcome", cell: (run) => outcomeOf(run) },
  { label: "Took", number: true, cell: (run) => took(run) },
  { label: "Requests", number: true, cell: ({ requests, uses }) => requestsOf(requests, uses) },
  { label: "Posts", number: true, cell: ({ posts }) => count(posts) },
  { label: "Comments", number: true, cell: ({ comments }) => count(comments) },
  { label: "New", number: true, cell: (run) => count(run.new) },
  { label: "Gaps", number: true, cell: ({ gaps }) => count(gaps) },
  { label: "Errors", number: true, cell: ({ errors }) => count(errors) },
  { label: "Worker", cell: ({ worker }) => worker },
];

function kindOf({ kind, subject }) {
  return h("span", {}, textOf(KINDS, kind), subject && quiet(" ", subject));
}

function outcomeOf({ outcome, error }) {
  const chip = h("span", { class: `chip ${COLOURS[outcome] ?? ""}` }, textOf(OUTCOMES, outcome));
  return error ? h("span", {}, chip, quiet(" ", error)) : chip;
}

function took({ started_at, ended_at }) {
  return ended_at ? duration((Date.parse(ended_at) - Date.parse(started_at)) / 1000) : NONE;
}

/** The number of requests; what they were for is said when the pointer rests on it. */
function requestsOf(requests, uses) {
  const parts = Object.entries(uses).map(([kind, number]) => `${count(number)} ${kind.replace("_", " ")}`);
  return h("span", { title: parts.join(", ") }, count(requests));
}
