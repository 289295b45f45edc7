// One post: how its score and comments went, how fast they rise, what its title says.
import * as api from "../api.js";
import { h, icon, outward, setText } from "../dom.js";
import { absoluteTime, count, decimal, perMinute, plural, setWhen, share, when } from "../format.js";
import { chart } from "../parts/chart.js";
import { reasons } from "../parts/post.js";
import { emptyState, errorNotice } from "../parts/states.js";
import { readState, writeState } from "../urlstate.js";

const DEFAULTS = { interval: "raw" };
const MOST_PAGES = 5;
const PAGE_SIZE = 1000;

export async function mount(root, { live, signal, match, about }) {
  const id = match[1];
  const state = readState(DEFAULTS);
  live.filter({ ids: [id] });
  let post;
  try {
    post = await api.get(`/api/posts/${id}/`, {}, signal);
  } catch (error) {
    if (signal.aborted) return;
    root.append(
      error.status === 404
        ? emptyState(
            "This post is not known",
            "It was never seen, or its address is not right.",
            h("p", {}, h("a", { href: "/" }, "What happens now")),
          )
        : errorNotice(error, () => {
            root.replaceChildren();
            mount(root, { live, signal, match, about });
          }),
    );
    return;
  }
  document.title = `${post.title} · signalflow`;
  const figures = figureStrip(post, about.trending_rule);
  const history = historyCards(id, state, signal);
  root.append(
    header(post, about),
    figures.element,
    h("div", { class: "post-columns" }, history.element, h("div", { class: "stack" }, titleCard(post), bodyCard(post))),
  );
  live.addEventListener(
    "posts",
    ({ detail }) => {
      const fresh = detail.find((one) => one.id === id);
      if (!fresh) return;
      post = { ...post, ...fresh };
      figures.update(post);
      history.add(fresh);
    },
    { signal },
  );
  live.addEventListener("reset", () => history.load(), { signal });
  await history.load();
}

function header(post, { link_base: base }) {
  const onReddit = base && post.permalink?.startsWith("/r/") ? base + post.permalink : null;
  return h(
    "div",
    { class: "post-head" },
    h(
      "p",
      { class: "facts" },
      h("a", { class: "subreddit", href: `/?subreddit=${encodeURIComponent(post.subreddit)}` }, `r/${post.subreddit}`),
      when(post.created_utc),
      post.author ? h("span", {}, `u/${post.author}`) : null,
      post.flair ? h("span", { class: "chip" }, h("span", {}, post.flair)) : null,
      post.over_18 ? h("span", { class: "chip bad" }, "18+") : null,
      post.removed_by ? h("span", { class: "chip warn" }, `removed by ${post.removed_by}`) : null,
    ),
    h("h1", {}, post.title),
    h(
      "p",
      { class: "links" },
      onReddit
        ? outward(onReddit, icon("share"), "On Reddit")
        : h("span", { class: "quiet" }, base ? "" : "From the simulator: it has no page on Reddit."),
      post.url && !post.is_self ? outward(post.url, icon("share"), hostOf(post.url)) : null,
    ),
  );
}

function hostOf(address) {
  try {
    return new URL(address).host;
  } catch {
    return address;
  }
}

function figureStrip(post, rule) {
  const made = Object.fromEntries(
    [
      ["score", "Score"],
      ["comments", "Comments"],
      ["ratio", "Upvoted"],
      ["velocity", "Score velocity"],
      ["talk", "Comment velocity"],
      ["trending", "Trending score"],
    ].map(([name, label]) => {
      const value = h("dd");
      const note = h("dd", { class: "note" });
      return [name, { value, note, element: h("div", { class: "figure" }, h("dt", {}, label), value, note) }];
    }),
  );
  const observed = when(post.observed_at);
  made.score.note.append("seen ", observed);
  function update(fresh) {
    setText(made.score.value, count(fresh.current_score));
    setWhen(observed, fresh.observed_at);
    setText(made.comments.value, count(fresh.current_comments));
    setText(made.comments.note, `engagement ${count(fresh.current_score + 2 * fresh.current_comments)}`);
    setText(made.ratio.value, share(fresh.current_ratio));
    setText(made.velocity.value, perMinute(fresh.score_velocity));
    setText(
      made.velocity.note,
      fresh.score_velocity === null ? "known from the second observation on" : "since the observation before",
    );
    setText(made.talk.value, perMinute(fresh.comment_velocity));
    setText(made.trending.value, decimal(fresh.trending_score));
    const parts = reasons(fresh, rule)
      .filter(({ weight }) => weight)
      .map(({ text, weight }) => `${text} +${weight}`);
    setText(
      made.trending.note,
      fresh.is_trending
        ? `trending: ${parts.join(", ")}`
        : parts.join(", ") || `trending from ${decimal(rule.threshold)}`,
    );
  }
  update(post);
  return {
    element: h(
      "dl",
      { class: "figures" },
      Object.values(made).map(({ element }) => element),
    ),
    update,
  };
}

function titleCard(post) {
  const { sentiment_score: score, sentiment_label: label, keywords } = post.nlp;
  const mark = h("span");
  mark.style.left = `${((score ?? 0) + 1) * 50}%`;
  const scale = h("div", { class: "gauge", "aria-hidden": "true" }, mark);
  return h(
    "section",
    { class: "card" },
    h("header", {}, h("h2", {}, "What the title says")),
    h(
      "div",
      { class: "body stack" },
      score === null
        ? h("p", { class: "quiet" }, "Not worked out yet: it comes with the next flush to the database.")
        : h(
            "div",
            { class: "sentiment-line" },
            h("span", { class: label }, label),
            scale,
            h("span", { class: "mono" }, decimal(score)),
          ),
      h(
        "ul",
        { class: "chips", "aria-label": "Keywords" },
        keywords.map((word) =>
          h("li", {}, h("a", { class: "chip", href: `/?keyword=${encodeURIComponent(word)}` }, h("span", {}, word))),
        ),
      ),
    ),
  );
}

function bodyCard(post) {
  if (!post.is_self && !post.body) return null;
  return h(
    "section",
    { class: "card" },
    h(
      "header",
      {},
      h("h2", {}, "Text"),
      post.text_observed_at ? h("span", { class: "quiet" }, "seen ", when(post.text_observed_at)) : null,
    ),
    h(
      "div",
      { class: "body" },
      post.body
        ? h("p", { class: "post-text" }, post.body)
        : h("p", { class: "quiet" }, "No text, or it has not been seen."),
    ),
  );
}

function historyCards(id, state, signal) {
  let items = [];
  let shown = null;
  // The stream is quicker than the database: its observations may be missing from the answer.
  const arrived = [];
  let asked = 0;
  const scoreChart = chart("Score and comments over time", signal);
  const velocityChart = chart("Velocity over time", signal);
  const note = h("span", { class: "quiet" });
  const failed = h("div");
  const segments = h(
    "div",
    { class: "segments", role: "group", "aria-label": "Interval" },
    [
      ["raw", "Observations"],
      ["1h", "By hour"],
    ].map(([value, text]) => h("button", { type: "button", "data-value": value, onclick: () => choose(value) }, text)),
  );
  const press = () => {
    for (const button of segments.children)
      button.setAttribute("aria-pressed", String(button.dataset.value === state.interval));
  };
  press();
  function choose(interval) {
    state.interval = interval;
    writeState(state, DEFAULTS);
    press();
    load();
  }
  async function load() {
    const mine = ++asked;
    const { interval } = state;
    const loaded = [];
    try {
      let cursor = null;
      for (let page = 0; page < MOST_PAGES && (page === 0 || cursor); page++) {
        const answer = await api.get(`/api/posts/${id}/history/`, { interval, page_size: PAGE_SIZE, cursor }, signal);
        if (mine !== asked) return;
        loaded.push(...answer.items.map(pointOf));
        cursor = answer.next;
      }
      const last = loaded.at(-1)?.time ?? 0;
      items = interval === "raw" ? [...loaded, ...arrived.filter(({ time }) => time > last)] : loaded;
      shown = interval;
      failed.replaceChildren();
      show();
    } catch (error) {
      if (!signal.aborted && mine === asked) failed.replaceChildren(errorNotice(error, load));
    }
  }
  function show() {
    setText(
      note,
      plural(items.length, shown === "raw" ? "observation" : "hour", shown === "raw" ? "observations" : "hours"),
    );
    const x = { label: "Time", values: items.map(({ time }) => time), time: true, format: absoluteTime };
    const column = (name) => items.map((item) => item[name]);
    const aMinute = (name) => column(name).map((value) => (value === null ? null : value * 60));
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
        { label: "Score a minute", values: aMinute("velocity"), colour: "accent", format: decimal },
        { label: "Comments a minute", values: aMinute("talk"), colour: "info", format: decimal, side: "right" },
      ],
    });
  }
  function add(post) {
    const point = pointOf({ ...post, score: post.current_score, num_comments: post.current_comments });
    if (point.time > (arrived.at(-1)?.time ?? 0)) arrived.push(point);
    if (shown !== "raw" || state.interval !== "raw" || point.time <= (items.at(-1)?.time ?? 0)) return;
    items.push(point);
    show();
  }
  const element = h(
    "div",
    { class: "stack" },
    failed,
    h(
      "section",
      { class: "card" },
      h("header", {}, h("h2", {}, "Score and comments"), note, h("div", { class: "end" }, segments)),
      h("div", { class: "body" }, scoreChart.element),
    ),
    h(
      "section",
      { class: "card" },
      h(
        "header",
        {},
        h("h2", {}, "Velocity"),
        h("span", { class: "quiet" }, "change a minute since the observation before"),
      ),
      h("div", { class: "body" }, velocityChart.element),
    ),
  );
  return { element, load, add };
}

function pointOf(item) {
  return {
    time: Date.parse(item.observed_at ?? item.bucket),
    score: item.score ?? item.max_score,
    comments: item.num_comments ?? item.max_comments,
    velocity: item.score_velocity ?? item.max_score_velocity ?? null,
    talk: item.comment_velocity ?? item.max_comment_velocity ?? null,
  };
}
