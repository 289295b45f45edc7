// The history of a post: charts of score, comments and their velocities, which go on live; and its ranks.
import { firstPages } from "../api.js";
import { h, setText } from "../dom.js";
import { absoluteTime, count, decimal, plural } from "../format.js";
import { Latest } from "../latest.js";
import { valuesOf } from "../urlstate.js";
import { chart } from "./chart.js";
import { segments } from "./form.js";
import { card, quiet } from "./layout.js";
import { ranksCard } from "./ranks.js";
import { errorNotice } from "./states.js";

export const DEFAULTS = { interval: "raw" };
const INTERVALS = [
  ["raw", "Observations"],
  ["1h", "By hour"],
];
export const VALUES = { interval: valuesOf(INTERVALS) };
const MOST_PAGES = 5;
const PAGE_SIZE = 1000;

/**
 * The cards of a post's history: {element, load(), add(post)}. `state` is the page's and has the interval; `keep()`
 * writes it into the address.
 */
export function historyCards(id, state, keep, signal) {
  const loads = new Latest(signal);
  // What the charts show, and its interval.
  let points = [];
  let shownInterval = null;
  // Observations from the stream. It is quicker than the database, so the API's answer may not have them yet.
  const arrived = [];
  const scoreChart = chart("Score and comments over time", signal);
  const velocityChart = chart("Velocity over time", signal);
  const beside = quiet();
  const ranks = ranksCard();
  const failed = h("div");
  const choice = segments("Interval", INTERVALS, () => state.interval, choose);
  const element = h(
    "div",
    { class: "stack" },
    failed,
    card({ title: "Score and comments", beside, end: choice }, h("div", { class: "body" }, scoreChart.element)),
    card(
      { title: "Velocity", beside: quiet("change a minute since the observation before") },
      h("div", { class: "body" }, velocityChart.element),
    ),
    ranks.element,
  );

  function choose(interval) {
    state.interval = interval;
    keep();
    load();
  }

  function load() {
    const { interval } = state;
    return loads.load({
      ask: () => firstPages(`/api/posts/${id}/history/`, { interval, page_size: PAGE_SIZE }, signal, MOST_PAGES),
      show(pages) {
        points = pages.flatMap(({ items }) => items).map(pointOf);
        if (interval === "raw") {
          points.push(...arrived.filter(({ time }) => time > lastTime(points)));
          // Hours have none.
          ranks.show(pages.flatMap((page) => page.ranks));
        }
        shownInterval = interval;
        failed.replaceChildren();
        show();
      },
      fail: (error) => failed.replaceChildren(errorNotice(error, load)),
    });
  }

  function show() {
    const nouns = shownInterval === "raw" ? ["observation", "observations"] : ["hour", "hours"];
    setText(beside, plural(points.length, ...nouns));
    const column = (name) => points.map((point) => point[name]);
    const aMinute = (name) => column(name).map((value) => (value === null ? null : value * 60));
    const x = { label: "Time", values: column("time"), time: true, format: absoluteTime };
    scoreChart.show({
      x,
      height: 260,
      series: [
        { label: "Score", values: column("score"), colour: "accent", format: count },
        { label: "Comments", values: column("comments"), colour: "info", format: count, side: "right" },
      ],
    });
    velocityChart.show({
      x,
      height: 180,
      series: [
        { label: "Score a minute", values: aMinute("scoreVelocity"), colour: "accent", format: decimal },
        {
          label: "Comments a minute",
          values: aMinute("commentVelocity"),
          colour: "info",
          format: decimal,
          side: "right",
        },
      ],
    });
  }

  /** Add an observation from the stream, if it has numbers and is newer than the last one. */
  function add(post) {
    if (post.current_score === null || post.current_comments === null) return;
    const point = pointOf({ ...post, score: post.current_score, num_comments: post.current_comments });
    if (point.time > lastTime(arrived)) arrived.push(point);
    if (shownInterval !== "raw" || state.interval !== "raw" || point.time <= lastTime(points)) return;
    points.push(point);
    show();
  }

  return { element, load, add };
}

const lastTime = (points) => points.at(-1)?.time ?? 0;

/** A point of the charts, from an observation or from an hour of the history. */
const pointOf = (item) => ({
  time: Date.parse(item.observed_at ?? item.bucket),
  score: item.score ?? item.max_score,
  comments: item.num_comments ?? item.max_comments,
  scoreVelocity: item.score_velocity ?? item.max_score_velocity ?? null,
  commentVelocity: item.comment_velocity ?? item.max_comment_velocity ?? null,
});
