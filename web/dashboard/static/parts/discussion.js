// The discussion below a post: its comments as trees, page by page, and how their mood moved.
import * as api from "../api.js";
import { h, setText } from "../dom.js";
import { absoluteTime, count, decimal, duration, plural, when } from "../format.js";
import { Latest } from "../latest.js";
import { Live } from "../live.js";
import { valuesOf } from "../urlstate.js";
import { chart } from "./chart.js";
import { button, segments } from "./form.js";
import { card, quiet } from "./layout.js";
import { authorLink } from "./links.js";
import { goneWords } from "./post.js";
import { emptyState, errorNotice } from "./states.js";

export const DEFAULTS = { comments: "best" };
const SORTS = [
  ["best", "Best"],
  ["new", "New"],
  ["old", "Old"],
];
export const VALUES = { comments: valuesOf(SORTS) };
// Deeper answers stand below each other, so that their lines keep a readable length.
const MOST_INDENTED = 6;

/**
 * The cards of a discussion: {element, load()}. `post` has the sentiment of its comments. `about` is what the API tells
 * of itself. `state` is the page's and has the order; `keep()` writes it into the address.
 */
export function discussionCards(post, about, state, keep, signal) {
  const mood = moodCard(post, signal);
  const comments = commentsCard(post.id, state, keep, signal);
  const live = new Live("comments");
  live.filter({ post_id: [post.id] });
  live.addEventListener("comments", ({ detail: observed }) => comments.note(observed));
  live.addEventListener("retract", ({ detail: gone }) => comments.takeAway(gone));
  live.addEventListener("reset", comments.load);
  live.start(about.live_heartbeat_seconds);
  signal.addEventListener("abort", () => live.stop());
  return {
    element: h("div", { class: "stack" }, mood.element, comments.element),
    load: () => Promise.all([mood.load(), comments.load()]),
  };
}

/** How the mood moved: {element, load()}. It is hidden while no comment has a sentiment. */
function moodCard({ id, comment_sentiment: together }, signal) {
  const loads = new Latest(signal);
  const moodChart = chart("Sentiment of comments over time", signal);
  const beside = quiet();
  const failed = h("div");
  const element = card(
    { title: "Mood of the discussion", beside },
    h("div", { class: "body" }, failed, moodChart.element),
  );
  element.hidden = !together;

  function show({ step_seconds: step, items }) {
    failed.replaceChildren();
    element.hidden = items.length === 0;
    if (!items.length) return;
    const total = items.reduce((sum, { count: comments }) => sum + comments, 0);
    const mean = items.reduce((sum, { count: comments, mean: score }) => sum + comments * score, 0) / total;
    setText(beside, `mean ${decimal(mean)} of ${plural(total, "comment", "comments")}, by ${duration(step)}`);
    moodChart.show({
      x: { label: "Time", values: items.map(({ bucket }) => Date.parse(bucket)), time: true, format: absoluteTime },
      height: 180,
      series: [
        { label: "Mean sentiment", values: items.map((one) => one.mean), colour: "accent", format: decimal },
        { label: "Comments", values: items.map((one) => one.count), colour: "info", format: count, side: "right" },
      ],
    });
  }

  function load() {
    return loads.load({
      ask: () => api.get(`/api/posts/${id}/comments/sentiment/`, {}, signal),
      show,
      fail: (error) => {
        element.hidden = false;
        failed.replaceChildren(errorNotice(error, load));
      },
    });
  }
  return { element, load };
}

/** The comments: {element, load(), note(observed), takeAway(ids)}. */
function commentsCard(id, state, keep, signal) {
  // Comments that were taken away since the page opened. The API may still have their text for some seconds.
  const gone = new Set();
  const shown = new Map();
  const loads = new Latest(signal);
  const list = h("ol", { class: "thread" });
  const below = h("div", { class: "more" });
  const choice = segments("Order of comments", SORTS, () => state.comments, choose);
  const element = card(
    { title: "Discussion", end: choice, region: "discussion" },
    h("div", { class: "body stack" }, list, below),
  );

  function choose(order) {
    state.comments = order;
    keep();
    load();
  }

  const page = (cursor) =>
    api.get(`/api/posts/${id}/comments/`, { view: "tree", sort: state.comments, cursor }, signal);

  /** Take observations from the stream: a comment that comes again stands again, and the next load shows its text. */
  function note(observed) {
    for (const comment of observed) gone.delete(comment.id);
  }

  function takeAway(ids) {
    for (const id of ids) {
      gone.add(id);
      shown.get(id)?.takeAway();
    }
  }

  /** The element of a comment with what answers it. `level` is how many comments it stands in. */
  function item(comment, level) {
    const answers = comment.replies.map((reply) => item(reply, level + 1));
    const made = commentItem(comment, answers, level);
    shown.set(comment.id, made);
    if (gone.has(comment.id)) made.takeAway();
    return made.element;
  }

  function add({ items, next }) {
    list.append(...items.map((comment) => item(comment, 0)));
    if (!list.children.length) {
      below.replaceChildren(
        emptyState("No comments are stored", "Comments are read of subreddits whose comments are followed."),
      );
    } else below.replaceChildren(...(next ? [button("More comments", "small", () => loadMore(next))] : []));
  }

  function load() {
    return loads.load({
      ask: () => page(null),
      show(answer) {
        list.replaceChildren();
        shown.clear();
        add(answer);
      },
      fail: (error) => below.replaceChildren(errorNotice(error, load)),
    });
  }

  function loadMore(cursor) {
    below.replaceChildren(quiet("Loading…"));
    return loads.more({
      ask: () => page(cursor),
      show(answer) {
        const before = list.children.length;
        add(answer);
        // The button is gone; who used the keyboard goes on at the first new comment.
        list.children[before]?.focus({ preventScroll: true });
      },
      fail: (error) => below.replaceChildren(errorNotice(error, () => loadMore(cursor))),
    });
  }
  return { element, load, note, takeAway };
}

/**
 * A comment, which has the elements of its answers: {element, takeAway()}. The stream does not say by whom it was taken
 * away.
 */
function commentItem(comment, answers, level) {
  const leftOut = comment.num_replies - answers.length;
  const facts = h("p", { class: "facts" }, factsOf(comment));
  const words = wordsOf(comment);
  const element = h(
    "li",
    { class: "comment", "data-id": comment.id, tabindex: "-1" },
    facts,
    words,
    answers.length > 0 && h("ol", { class: level < MOST_INDENTED ? "thread" : "thread flat" }, answers),
    leftOut > 0 && h("p", { class: "quiet" }, `${plural(leftOut, "answer is", "answers are")} not shown`),
  );
  function takeAway() {
    const without = { ...comment, author: null, body: null, sentiment_label: null, removed_by: "other" };
    facts.replaceChildren(...factsOf(without));
    words.replaceWith(wordsOf(without));
  }
  return { element, takeAway };
}

const wordsOf = (comment) =>
  comment.body === null
    ? h("p", { class: "quiet" }, comment.removed_by ? goneWords(comment) : "no text")
    : h("p", { class: "comment-text" }, comment.body);

function factsOf(comment) {
  const label = comment.sentiment_label;
  return [
    comment.author ? authorLink(comment.author) : quiet(comment.removed_by ? "removed" : "no author"),
    comment.is_submitter && h("span", { class: "chip accent" }, "author of the post"),
    comment.distinguished && h("span", { class: "chip" }, comment.distinguished),
    comment.stickied && h("span", { class: "chip" }, "pinned"),
    comment.score !== null && h("span", {}, plural(comment.score, "point", "points")),
    when(comment.created_utc),
    comment.edited_at && h("span", {}, "edited ", when(comment.edited_at)),
    label && label !== "neutral" && h("span", { class: `sentiment ${label}` }, label),
  ].filter(Boolean);
}
