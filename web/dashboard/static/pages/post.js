// One post: how its score and comments developed, how fast they rise, what its title says, and its discussion.
import * as api from "../api.js";
import { h, icon, outward, outwardAddress } from "../dom.js";
import { count, decimal, duration, engagement, NONE, percentage, perMinute, UNKNOWN, when } from "../format.js";
import * as discussion from "../parts/discussion.js";
import * as history from "../parts/history.js";
import { card, figureStrip, quiet } from "../parts/layout.js";
import { authorLink, keywordList, subredditLink } from "../parts/links.js";
import { afterObservation } from "../parts/observation.js";
import { goneMark, notShownMark, reasons } from "../parts/post.js";
import { signalsOfPost } from "../parts/signals.js";
import { emptyState } from "../parts/states.js";
import { titleAttributes, titleText, titleWithin } from "../parts/title.js";
import { storyOfPost } from "../parts/topic.js";
import { readState, writeState } from "../urlstate.js";

export const DEFAULTS = { ...history.DEFAULTS, ...discussion.DEFAULTS };
export const VALUES = { ...history.VALUES, ...discussion.VALUES };

// What a post shows of its author's words once the stream says that it was taken away, which does not say by whom.
const TAKEN_AWAY = {
  title: "",
  author: null,
  url: null,
  permalink: null,
  flair: null,
  body: null,
  removed_by: "other",
};

/** Show the page in `root` until `signal` aborts. The first group of `match`, of the address, is the post's id. */
export async function mount(root, { live, signal, match, about }) {
  const id = match[1];
  live.filter({ id: [id] });
  let post = await knownPost(id, signal);
  if (signal.aborted) return;
  if (!post) {
    const home = h("p", {}, h("a", { href: "/" }, "What happens now"));
    root.append(emptyState("This post is not known", "It was never seen, or its address is not right.", home));
    return;
  }
  const head = h("div", { class: "post-head" });
  const words = h("div", { class: "stack" });
  const story = h("div");
  function showWords() {
    document.title = `${titleWithin(post.title)} · signalflow`;
    head.replaceChildren(...postHead(post, about.link_base));
    words.replaceChildren(...[titleCard(post), bodyCard(post)].filter(Boolean));
    const link = storyOfPost(post);
    story.replaceChildren(...[link].filter(Boolean));
    story.hidden = !link;
  }
  const figures = postFigures(about.trending_rule);
  const state = readState(DEFAULTS, VALUES);
  const keep = () => writeState(state, DEFAULTS);
  const charts = history.historyCards(id, state, keep, signal);
  const signals = signalsOfPost(id, signal);
  const talk = discussion.discussionCards(post, about, state, keep, signal);
  showWords();
  figures.show(post);
  root.append(
    head,
    story,
    figures.element,
    h(
      "div",
      { class: "post-columns" },
      h("div", { class: "stack" }, signals.element, charts.element, talk.element),
      words,
    ),
  );
  live.addEventListener(
    "posts",
    ({ detail }) => {
      const fresh = detail.find((one) => one.id === id);
      if (!fresh) return;
      post = afterObservation(post, fresh);
      figures.show(post);
      charts.add(fresh);
    },
    { signal },
  );
  live.addEventListener(
    "retract",
    ({ detail: gone }) => {
      if (!gone.includes(id)) return;
      post = { ...post, ...TAKEN_AWAY, nlp: { ...post.nlp, keywords: [], topic_cluster: null } };
      showWords();
      signals.load();
    },
    { signal },
  );
  live.addEventListener("reset", charts.load, { signal });
  await Promise.all([signals.load(), charts.load(), talk.load()]);
}

/** The post, or null when the API does not know it. */
async function knownPost(id, signal) {
  try {
    return await api.get(`/api/posts/${id}/`, {}, signal);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** The elements on top. `linkBase` is the address of Reddit, or null when the posts come from the simulator. */
function postHead(post, linkBase) {
  const onReddit = linkBase && post.permalink?.startsWith("/") ? linkBase + post.permalink : null;
  const facts = [
    subredditLink(post.subreddit),
    when(post.created_utc),
    post.author && authorLink(post.author),
    post.flair && h("span", { class: "chip" }, h("span", {}, post.flair)),
    post.over_18 && h("span", { class: "chip bad" }, "18+"),
    notShownMark(post),
    goneMark(post),
  ];
  const links = [
    onReddit && outward(onReddit, icon("share"), "On Reddit"),
    !linkBase && quiet("From the simulator: it has no page on Reddit."),
    post.url && !post.is_self && outward(post.url, icon("share"), hostOf(post.url)),
  ];
  return [
    h("p", { class: "facts" }, facts),
    h("h1", titleAttributes(post.title), titleText(post.title)),
    h("p", { class: "links" }, links),
  ];
}

function hostOf(address) {
  const target = outwardAddress(address);
  return target ? new URL(target).host : address;
}

/** The figures of a post: {element, show(post)}. `rule` is the API's trending rule. */
function postFigures(rule) {
  const strip = figureStrip({
    score: ["Score"],
    comments: ["Comments"],
    ratio: ["Upvoted"],
    velocity: ["Trend velocity"],
    commentVelocity: ["Comment velocity"],
    trending: ["Trending score"],
  });
  function show(post) {
    const { current_score: score, current_comments: comments, trend_velocity: velocity } = post;
    const window = duration(rule.trend_window);
    const isKnown = score !== null;
    const later = isKnown ? `known after ${window} of observations` : UNKNOWN;
    const over = velocity === null ? later : `of the score, over ${window} or more`;
    const counting = reasons(post, rule).filter(({ weight }) => weight);
    const why = counting.map(({ text, weight }) => `${text} +${weight}`).join(", ");
    strip.set("score", count(score), isKnown ? h("span", {}, "seen ", when(post.score_observed_at)) : UNKNOWN);
    strip.set(
      "comments",
      count(comments),
      comments === null ? UNKNOWN : `engagement ${count(engagement(score, comments))}`,
    );
    strip.set("ratio", percentage(post.current_ratio), isKnown ? "" : UNKNOWN);
    strip.set("velocity", perMinute(velocity), over);
    strip.set("commentVelocity", perMinute(post.comment_velocity), isKnown ? "" : UNKNOWN);
    const fromWhen = isKnown ? `trending from ${decimal(rule.threshold)}` : UNKNOWN;
    strip.set(
      "trending",
      isKnown ? decimal(post.trending_score) : NONE,
      post.is_trending ? `trending: ${why}` : (isKnown && why) || fromWhen,
    );
  }
  return { element: strip.element, show };
}

function titleCard({
  nlp: { sentiment_score: score, sentiment_label: label, sentiment_basis: basis, keywords },
  removed_by: removed,
}) {
  const mark = h("span");
  mark.style.left = `${((score ?? 0) + 1) * 50}%`;
  const sentiment = h(
    "div",
    { class: "sentiment-line" },
    h("span", { class: label }, label),
    h("div", { class: "gauge", "aria-hidden": "true" }, mark),
    h("span", { class: "mono" }, decimal(score)),
  );
  if (score === null && keywords.length === 0 && removed) return null;
  const why =
    basis === "not_english"
      ? "No sentiment: the title does not seem to be English."
      : "Not worked out yet: it comes with the next flush to the database.";
  const missing = h("p", { class: "quiet" }, why);
  return card(
    { title: "What the title says" },
    h("div", { class: "body stack" }, score === null ? missing : sentiment, keywordList(keywords, { class: "chips" })),
  );
}

function bodyCard(post) {
  if (!post.is_self && !post.body) return null;
  const text = post.body
    ? h("p", { class: "post-text" }, post.body)
    : h("p", { class: "quiet" }, "No text, or it has not been seen.");
  const beside = post.text_observed_at && quiet("seen ", when(post.text_observed_at));
  return card({ title: "Text", beside }, h("div", { class: "body" }, text));
}
