// How a post looks: as a row of the post list, and as a card among the posts that take off.
import { h, setText } from "../dom.js";
import { count, perMinute, plural, short, UNKNOWN, when } from "../format.js";
import { sparkline } from "../spark.js";
import { authorLink, keywordList, subredditLink } from "./links.js";
import { afterObservation } from "./observation.js";
import { titleLink, titleWithin } from "./title.js";

const MOST_KEYWORDS = 3;

/**
 * Why a post takes off, as {text, weight}: `weight` is what a reason adds to the trending score, and 0 when a reason
 * only explains the numbers. `rule` is the API's trending rule.
 */
export function reasons(post, rule) {
  const found = [];
  const velocity = post.trend_velocity ?? 0;
  if (velocity > 0) found.push({ text: `${perMinute(velocity)} score`, weight: velocityWeight(velocity, rule) });
  if (post.current_comments > rule.comments)
    found.push({ text: plural(post.current_comments, "comment", "comments"), weight: rule.weights.comments });
  else if (post.comment_velocity > 0) found.push({ text: `${perMinute(post.comment_velocity)} comments`, weight: 0 });
  const sentiment = post.nlp?.sentiment_score;
  if (Math.abs(sentiment ?? 0) > rule.sentiment)
    found.push({ text: `strongly ${post.nlp.sentiment_label} title`, weight: rule.weights.sentiment });
  return found;
}

function velocityWeight(velocity, { velocity_low: low, velocity_high: high, weights }) {
  if (velocity > high) return weights.velocity_high;
  return velocity > low ? weights.velocity_low : 0;
}

function reasonChips(post, rule) {
  return reasons(post, rule).map(({ text, weight }) =>
    h(
      "li",
      {
        class: weight ? "chip accent" : "chip",
        title: weight ? `counts ${weight} in the trending score` : "does not count in the trending score",
      },
      h("span", {}, text),
      weight ? h("span", {}, `+${weight}`) : null,
    ),
  );
}

const textOf = (element) => element.textContent;

/** The class for a change: its colour. */
const sign = (value) => (value > 0 ? "up" : value < 0 ? "down" : "");

/** Set a text and let it flash, unless it is the first text or the same. */
function flash(element, text) {
  if (element.textContent === text) return;
  const fresh = element.textContent === "";
  element.textContent = text;
  if (!fresh && !document.hidden) element.animate?.([{ color: "var(--accent)" }, {}], { duration: 1200 });
}

/** The mark of a post that Reddit's answers leave out. Live observations show the post, so they end it. */
export const notShownMark = ({ not_shown_since: since }) =>
  h(
    "span",
    { class: "chip warn not-shown", hidden: !since, title: "Reddit leaves it out of its answers" },
    since && ["no longer shown, missed ", when(since)],
  );

const GONE = {
  deleted: "deleted by its author",
  author: "deleted by its author",
  user: "deleted by its author",
  moderator: "removed by a moderator",
  automod_filtered: "held back by a filter",
  reddit: "removed by Reddit",
  content_takedown: "removed by Reddit",
  copyright_takedown: "removed for copyright",
  legal_operations: "removed by Reddit",
  community_ops: "removed by Reddit",
  anti_evil_ops: "removed by Reddit",
  request: "erased here on request",
};

/** By whom a post or comment was taken away, in words. */
export const goneWords = ({ removed_by: by }) => (by && GONE[by]) ?? "removed";

/** The mark of a post that was taken away, which says by whom. */
export const goneMark = (post) => h("span", { class: "chip warn gone", hidden: !post.removed_by }, goneWords(post));

const titleLine = (post) => h("p", { class: "title" }, titleLink(post));

/** A row of the post list: {element, update(observation)}. Its height does not depend on the numbers. */
export function postRow(post) {
  const score = h("span", { class: "score" });
  const velocity = h("span", { class: "velocity" });
  const comments = h("span", { class: "comments" });
  const sentiment = h("span", { class: "sentiment" });
  const trending = h("span", { class: "chip accent", hidden: true }, "trending");
  const notShown = notShownMark(post);
  let gone = goneMark(post);
  const facts = h(
    "p",
    { class: "facts" },
    subredditLink(post.subreddit),
    when(post.created_utc),
    post.over_18 && h("span", { class: "chip bad" }, "18+"),
    notShown,
    gone,
    sentiment,
    post.author && authorLink(post.author),
    post.flair && h("span", { class: "flair" }, post.flair),
  );
  const element = h(
    "li",
    { class: "post-row", "data-id": post.id },
    h("div", { class: "tally" }, score, velocity),
    h("div", { class: "what" }, titleLine(post), facts),
    keywordList((post.nlp?.keywords ?? []).slice(0, MOST_KEYWORDS), { class: "chips keywords" }),
    h("div", { class: "side" }, trending, comments),
  );
  let shown = null;
  function update(fresh) {
    shown = afterObservation(shown, fresh);
    flash(score, short(shown.current_score));
    score.title = shown.current_score === null ? UNKNOWN : plural(shown.current_score, "point", "points");
    setText(velocity, shown.trend_velocity ? perMinute(shown.trend_velocity) : "");
    velocity.className = `velocity ${sign(shown.trend_velocity)}`;
    velocity.title = "score a minute, over the last minutes";
    setText(comments, plural(shown.current_comments, "comment", "comments"));
    comments.title = shown.current_comments === null ? UNKNOWN : "";
    trending.hidden = !shown.is_trending;
    notShown.hidden = !shown.not_shown_since;
    const mark = goneMark(shown);
    gone.replaceWith(mark);
    gone = mark;
    const label = shown.nlp?.sentiment_label;
    sentiment.className = `sentiment ${label ?? ""}`;
    setText(sentiment, label && label !== "neutral" ? label : "");
  }
  update(post);
  return { element, update };
}

/** A card for a post that takes off: {element, update(post), draw(points)}; `draw` is of its sparkline. */
export function risingCard(post, rule) {
  const score = h("span", { class: "score" });
  const velocity = h("span", { class: "velocity" });
  const comments = h("span", { class: "quiet" });
  const why = h("ul", { class: "chips why", "aria-label": "Why" });
  const spark = sparkline(`Score of “${titleWithin(post.title)}” over time`);
  const facts = h("p", { class: "facts" }, subredditLink(post.subreddit), when(post.created_utc), comments);
  const element = h(
    "li",
    { class: "rising-card", "data-id": post.id },
    h("div", { class: "what" }, titleLine(post), facts),
    h("div", { class: "numbers" }, score, velocity),
    h("div", { class: "spark-box" }, spark.element),
    why,
  );
  function update(fresh) {
    flash(score, short(fresh.current_score));
    setText(velocity, perMinute(fresh.trend_velocity));
    velocity.className = `velocity ${sign(fresh.trend_velocity)}`;
    setText(comments, `${count(fresh.current_comments)} comments`);
    const chips = reasonChips(fresh, rule);
    if (chips.map(textOf).join() !== [...why.children].map(textOf).join()) why.replaceChildren(...chips);
  }
  update(post);
  return { element, update, draw: spark.draw };
}
