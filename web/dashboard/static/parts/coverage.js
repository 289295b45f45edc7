// A heat map of coverage: a row for each subreddit, a column for each hour. A cell that misses posts says why.
import * as api from "../api.js";
import { h, replaceKeepingFocus, scrollRegion } from "../dom.js";
import { absoluteTime, count, NONE, percentage, plural } from "../format.js";
import { Latest } from "../latest.js";
import { card, quiet } from "./layout.js";
import { emptyState, errorNotice } from "./states.js";

const REFRESH_MS = 60_000;
const hourOf = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

const REASONS = {
  open: (gap) => `It is being read: ${plural(gap.pages, "page", "pages")} so far.`,
  given_up: (gap) =>
    `More posts came than Reddit's listing still shows. It ended after ${plural(gap.pages, "page", "pages")}.`,
  unreachable: () => "Reddit refused the listing for two days.",
};

/** The box with the heat map: {element, load()}. It loads itself again each minute until `signal` aborts. */
export function coverageCard(signal) {
  const loads = new Latest(signal);
  const region = scrollRegion("Coverage by hour");
  const details = h("div", { class: "body coverage-details", role: "status" });
  let chosen = null;

  function show(coverage) {
    replaceKeepingFocus(region, coverage.items.length ? heatMap(coverage, choose) : nothing());
    if (chosen) choose(...chosen);
  }

  /** Say below the map what is missing in a cell, and why. */
  function choose(coverage, name, place) {
    chosen = [coverage, name, place];
    const item = coverage.items.find(({ subreddit }) => subreddit === name);
    details.replaceChildren(cellDetails(coverage, item, place));
  }

  const load = () =>
    loads.load({
      ask: () => api.get("/api/coverage/", {}, signal),
      show,
      fail: (error) => region.replaceChildren(errorNotice(error, load)),
    });

  loads.repeat(load, REFRESH_MS);
  const about = quiet("the last 24 hours: covered, missing and unknown time");
  return { element: card({ title: "Coverage", beside: about, region: "coverage" }, region, details), load };
}

const nothing = () => emptyState("No subreddit is watched", "Add some on the page of subreddits.");

function heatMap(coverage, choose) {
  const hours = coverage.starts.map((start) =>
    h("th", { scope: "col", title: absoluteTime(start) }, hourOf.format(new Date(start))),
  );
  return h(
    "table",
    { class: "heat" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Subreddit"), h("th", { scope: "col" }, "Covered"), hours)),
    h(
      "tbody",
      {},
      coverage.items.map((item) =>
        h(
          "tr",
          { "data-coverage": item.subreddit },
          h("th", { scope: "row" }, item.subreddit),
          h("td", { class: "number" }, percentage(item.covered)),
          item.cells.map((cell, place) => heatCell(coverage, item, cell, place, choose)),
        ),
      ),
    ),
  );
}

/** A cell: a button where posts are missing, because there is something to read. */
function heatCell(coverage, item, cell, place, choose) {
  const start = coverage.starts[place];
  const words = inWords(cell);
  const title = `${absoluteTime(start)}: ${words}`;
  if (!cell.missing) {
    const kind = cell.unknown ? "unknown" : "covered";
    return h("td", { class: kind, title }, cell.unknown ? "?" : "", h("span", { class: "unseen" }, words));
  }
  const name = `r/${item.subreddit}, ${hourOf.format(new Date(start))}: ${words}`;
  return h(
    "td",
    { class: "missing" },
    h(
      "button",
      {
        type: "button",
        title,
        "aria-label": name,
        "data-focus": `${item.subreddit} ${start}`,
        onclick: () => choose(coverage, item.subreddit, place),
      },
      percentage(cell.covered),
    ),
  );
}

function inWords({ covered, missing, unknown }) {
  const parts = [
    [covered, "covered"],
    [missing, "missing"],
    [unknown, "unknown"],
  ];
  return parts
    .filter(([share]) => share > 0)
    .map(([share, word]) => `${percentage(share)} ${word}`)
    .join(", ");
}

/** What is missing in a cell, and the gaps that are the reason. */
function cellDetails(coverage, item, place) {
  const [start, end] = [coverage.starts[place], coverage.starts[place + 1] ?? coverage.end];
  const cell = item.cells[place];
  const isWithin = (gap) => Date.parse(gap.since) < Date.parse(end) && Date.parse(gap.until) > Date.parse(start);
  const gaps = item.gaps.filter(isWithin);
  const share = cell.posts_share === null ? NONE : percentage(cell.posts_share);
  return h(
    "div",
    { class: "stack" },
    h("h3", {}, `r/${item.subreddit}, ${absoluteTime(start)}`),
    h("p", {}, `${inWords(cell)}. ${plural(cell.posts, "post", "posts")} found, by an estimate ${share} of all.`),
    h(
      "ul",
      {},
      gaps.map((gap) =>
        h(
          "li",
          { "data-gap": gap.id },
          `Gap ${count(gap.id)}, posts from ${absoluteTime(gap.since)} to ${absoluteTime(gap.until)}: `,
          REASONS[gap.state](gap),
        ),
      ),
    ),
  );
}
