// One story: its hours, its subreddits and its posts, with what repeats a post folded under it.
import * as api from "../api.js";
import { h } from "../dom.js";
import { absoluteTime, count, decimal, orUnknown, plural, when } from "../format.js";
import { Latest } from "../latest.js";
import { chart } from "../parts/chart.js";
import { card, pageHead } from "../parts/layout.js";
import { authorLink, subredditLink } from "../parts/links.js";
import { emptyState, errorNotice } from "../parts/states.js";
import { titleLink } from "../parts/title.js";
import { factsOf, labelOf, subredditsOf } from "../parts/topic.js";

const REFRESH_MS = 30_000;
const HOUR_MS = 3_600_000;

/** Show the page in `root` until `signal` aborts. The first group of `match`, of the address, is the story's id. */
export async function mount(root, { live, signal, match }) {
  live.pause();
  const id = decodeURIComponent(match[1]);
  const loads = new Latest(signal);
  const [head, failed, where] = [h("div"), h("div"), h("div", { class: "body" })];
  const posts = h("ol", { class: "topic-posts" });
  const hours = chart("Posts and sentiment of titles by hour", signal);
  const talk = chart("Comments and their sentiment by hour", signal);
  const comments = card({ title: "Comments by hour", region: "talk" }, h("div", { class: "body" }, talk.element));
  const content = h(
    "div",
    { class: "stack", hidden: true },
    card({ title: "Hour by hour", region: "hours" }, h("div", { class: "body" }, hours.element)),
    comments,
    card({ title: "Subreddits", region: "subreddits" }, where),
    card({ title: "Posts, newest first", region: "posts" }, posts),
  );
  root.append(head, failed, content);

  function show(topic) {
    document.title = `${labelOf(topic)} · signalflow`;
    head.replaceChildren(pageHead(labelOf(topic)), factsOf(topic));
    failed.replaceChildren();
    content.hidden = false;
    comments.hidden = topic.timeline.every((hour) => hour.comments === 0);
    hours.show(hoursOf(topic.timeline, "posts", "Posts", "average_sentiment"));
    talk.show(hoursOf(topic.timeline, "comments", "Comments", "average_comment_sentiment"));
    where.replaceChildren(subredditsOf(topic));
    posts.replaceChildren(...postsOf(topic.posts));
  }

  const load = () =>
    loads.load({
      ask: () => api.get(`/api/topics/${encodeURIComponent(id)}/`, {}, signal),
      show,
      fail: (error) => failed.replaceChildren(error.status === 404 ? unknownStory() : errorNotice(error, load)),
    });
  // A refresh would fold again what a reader unfolded.
  const isRead = () => posts.matches(":hover, :focus-within") || posts.querySelector("details[open]") !== null;
  loads.repeat(load, REFRESH_MS, isRead);
  await load();
}

const unknownStory = () =>
  emptyState("This story is not known", "It was never found, or ended with a single post.", allStories());
const allStories = () => h("p", {}, h("a", { href: "/topics" }, "All stories"));

/** What a chart shows of posts or comments and their sentiment. Hours that the API leaves out had nothing. */
function hoursOf(timeline, name, label, sentiment) {
  const known = new Map(timeline.map((hour) => [Date.parse(hour.at), hour]));
  const [first, last] = [Math.min(...known.keys()), Math.max(...known.keys())];
  const times = [];
  for (let at = first; at <= last; at += HOUR_MS) times.push(at);
  const counts = times.map((at) => known.get(at)?.[name] ?? 0);
  const means = times.map((at) => known.get(at)?.[sentiment] ?? null);
  return {
    height: 200,
    x: { label: "Hour", values: times, time: true, format: absoluteTime, step: 3600 },
    series: [
      { label, values: counts, colour: "bar-colour", format: count, bars: true },
      { label: "Mean sentiment", values: means, colour: "accent", format: decimal, side: "right" },
    ],
  };
}

/** The posts, each with those that repeat it. */
function postsOf(posts) {
  const repeats = Map.groupBy(posts, ({ same_as: first }) => first);
  return (repeats.get(null) ?? []).map((post) => {
    const again = repeats.get(post.id) ?? [];
    return h("li", { class: "topic-post", "data-id": post.id }, postLine(post), again.length > 0 && folded(again));
  });
}

const folded = (posts) =>
  h(
    "details",
    {},
    h("summary", {}, `The same ${plural(posts.length, "time", "times")} more`),
    h(
      "ul",
      {},
      posts.map((post) => h("li", { "data-id": post.id }, postLine(post))),
    ),
  );

const postLine = (post) => [
  h("p", {}, titleLink(post)),
  h(
    "p",
    { class: "facts" },
    subredditLink(post.subreddit),
    when(post.created_utc),
    h("span", {}, orUnknown(post.current_score), post.current_score === 1 ? " point" : " points"),
    h("span", {}, orUnknown(post.current_comments), post.current_comments === 1 ? " comment" : " comments"),
    post.sentiment_label && h("span", { class: post.sentiment_label }, post.sentiment_label),
    post.author && authorLink(post.author),
  ),
];
