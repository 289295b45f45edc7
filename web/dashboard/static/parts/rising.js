// The posts that take off: those that gain score fastest now, each with a sparkline and the reasons.
import * as api from "../api.js";
import { h } from "../dom.js";
import { afterObservation } from "./observation.js";
import { risingCard } from "./post.js";
import { emptyState } from "./states.js";

const SHOWN = 8;
const MOST_CANDIDATES = 200;
const MOST_POINTS = 120;
// An older velocity says nothing about now.
const FRESH_MS = 30 * 60_000;
const YOUNG_MS = 24 * 3_600_000;
// Nobody could read cards that change places more often.
const RANK_EVERY_MS = 3000;
// The stream brought every observation of a post this young, and its history may not be stored yet.
const NEW_MS = 60_000;

/** Whether the source of a post has told its score. Reddit's feeds tell none. */
export const hasScore = ({ current_score }) => current_score !== null;

const NOTHING_RISES = [
  "Nothing takes off at the moment",
  "Posts show up here when their score rises by more than the noise of votes.",
];
const NO_SCORES = [
  "What takes off is not known",
  "No score of these posts is known. Reddit's feeds tell none; Reddit's API tells them.",
];

/** The list of cards. `rule` is the API's trending rule; `signal` aborts when the page is left. */
export class Rising {
  #rule;
  #signal;
  #candidates = new Map();
  #cards = new Map();
  #list = h("ol", { class: "rising", "aria-label": "Posts that take off" });
  #ranked = 0;
  #later = 0;
  #areScoresKnown = true;

  constructor(rule, signal) {
    this.#rule = rule;
    this.#signal = signal;
    this.element = this.#list;
    signal.addEventListener("abort", () => clearTimeout(this.#later));
  }

  /** Forget all posts and begin with these. `areScoresKnown`: whether any post that could be shown has a score. */
  replace(posts, areScoresKnown) {
    this.#areScoresKnown = areScoresKnown;
    this.#candidates.clear();
    this.#cards.clear();
    this.#list.replaceChildren();
    this.#ranked = 0;
    this.take(posts);
  }

  /**
   * Take observations of posts, shown or not, and rank the posts again. Older observations than known ones are dropped.
   */
  take(posts) {
    for (const fresh of posts) {
      const known = this.#candidates.get(fresh.id);
      if (known && known.observed_at > fresh.observed_at) continue;
      const post = afterObservation(known, fresh);
      if (hasScore(post)) this.#areScoresKnown = true;
      this.#candidates.delete(post.id);
      this.#candidates.set(post.id, post);
      const card = this.#cards.get(post.id);
      if (card) {
        card.update(post);
        if (hasScore(fresh)) this.#addPoint(card, post);
      }
    }
    this.#rank();
  }

  /** Take these posts out: they were taken away. */
  remove(ids) {
    for (const id of ids) {
      this.#candidates.delete(id);
      this.#cards.get(id)?.element.remove();
      this.#cards.delete(id);
    }
  }

  #rank() {
    const now = Date.now();
    const isRead =
      this.#cards.size > 0 && (this.#list.matches(":hover") || this.#list.contains(document.activeElement));
    if (now - this.#ranked < RANK_EVERY_MS || isRead) {
      this.#later ||= setTimeout(() => {
        this.#later = 0;
        this.#rank();
      }, RANK_EVERY_MS);
      return;
    }
    this.#ranked = now;
    const rises = ({ trend_velocity, observed_at, score_observed_at, created_utc, removed_by, not_shown_since }) =>
      trend_velocity > 0 &&
      !removed_by &&
      !not_shown_since &&
      now - Date.parse(score_observed_at ?? observed_at) < FRESH_MS &&
      now - Date.parse(created_utc) < YOUNG_MS;
    const ranked = [...this.#candidates.values()]
      .filter(rises)
      .sort((a, b) => b.trend_velocity - a.trend_velocity || a.id.localeCompare(b.id));
    for (const { id } of ranked.slice(MOST_CANDIDATES)) this.#candidates.delete(id);
    for (const [id, post] of this.#candidates) if (!rises(post)) this.#candidates.delete(id);
    this.#show(ranked.slice(0, SHOWN));
  }

  #show(posts) {
    const wanted = new Set(posts.map(({ id }) => id));
    for (const [id, card] of this.#cards) {
      if (wanted.has(id)) continue;
      card.element.remove();
      this.#cards.delete(id);
    }
    for (const post of posts) if (!this.#cards.has(post.id)) this.#add(post);
    const elements = posts.map(({ id }) => this.#cards.get(id).element);
    if (elements.length === 0) {
      this.#list.replaceChildren(h("li", {}, emptyState(...(this.#areScoresKnown ? NOTHING_RISES : NO_SCORES))));
    } else if (
      elements.some((element, place) => this.#list.children[place] !== element) ||
      this.#list.children.length !== elements.length
    ) {
      this.#list.replaceChildren(...elements);
    }
  }

  async #add(post) {
    const card = { ...risingCard(post, this.#rule), points: [] };
    this.#cards.set(post.id, card);
    if (Date.now() - Date.parse(post.first_seen_at) < NEW_MS) {
      card.points = [
        [Date.parse(post.created_utc), 0],
        [Date.parse(post.score_observed_at ?? post.observed_at), post.current_score],
      ];
      card.draw(card.points);
      return;
    }
    try {
      const history = await api.get(`/api/posts/${post.id}/history/`, { interval: "raw" }, this.#signal);
      const seen = history.items.map(({ observed_at, score }) => [Date.parse(observed_at), score]);
      // A post begins with no score, so a line can be drawn from its first observation on.
      card.points = [
        [Date.parse(post.created_utc), 0],
        ...seen,
        ...card.points.filter(([time]) => time > (seen.at(-1)?.[0] ?? 0)),
      ];
      card.draw(card.points);
    } catch {
      // The card goes without its sparkline. Its numbers came with the list.
    }
  }

  #addPoint(card, post) {
    const time = Date.parse(post.observed_at);
    if (time <= (card.points.at(-1)?.[0] ?? 0)) return;
    card.points.push([time, post.current_score]);
    if (card.points.length > MOST_POINTS) card.points.splice(1, 1);
    card.draw(card.points);
  }
}
