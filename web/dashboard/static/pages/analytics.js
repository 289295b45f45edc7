// What the posts of a time range have in common: when, where, about what, how fast, in which mood.
import * as api from "../api.js";
import { h, scrollRegion, setText } from "../dom.js";
import { absoluteTime, count, decimal, plural, short, when } from "../format.js";
import { chart } from "../parts/chart.js";
import { emptyState, errorNotice } from "../parts/states.js";
import { rangeStart, readState, writeState } from "../urlstate.js";

const DEFAULTS = { range: "24h", rank: "engagement", all: false };
const RANGES = [
  ["1h", "1 h"],
  ["6h", "6 h"],
  ["24h", "24 h"],
  ["7d", "7 d"],
  ["30d", "30 d"],
];
const RANKS = [
  ["engagement", "Engagement", "top_posts"],
  ["score", "Score", "most_upvoted"],
  ["comments", "Comments", "most_commented"],
];
const FEW_SUBREDDITS = 12;
const REFRESH_MS = 60_000;

export async function mount(root, { signal, live }) {
  const state = readState(DEFAULTS);
  live.filter({ ids: ["0"] }); // nothing here is live: the stream need not send what nobody sees
  let stats = null;
  let keywords = null;
  let asked = 0;
  const fresh = h("span", { class: "quiet" });
  const failed = h("div");
  const sections = makeSections(signal);
  const ranges = segments(
    "Time range",
    RANGES,
    () => state.range,
    (value) => set({ range: value }, true),
  );
  sections.ranks.append(
    segments(
      "Rank by",
      RANKS,
      () => state.rank,
      (value) => set({ rank: value }),
    ),
  );
  sections.more.addEventListener("click", () => set({ all: !state.all }));
  root.append(
    h("div", { class: "head" }, h("h1", {}, "Analytics"), h("div", { class: "grow" }, fresh), ranges),
    failed,
    sections.element,
  );

  function set(change, asks = false) {
    Object.assign(state, change);
    writeState(state, DEFAULTS);
    if (asks) load();
    else if (stats) show();
  }

  async function load() {
    const mine = ++asked;
    root.setAttribute("aria-busy", "true");
    try {
      // A named window shares the server's cache with everybody; the longest one has no name, and keywords reach back a week.
      const isNamed = state.range !== "30d";
      const answers = await Promise.all([
        api.get("/api/stats/", isNamed ? { window: state.range } : { start: rangeStart(state.range) }, signal),
        isNamed ? api.get("/api/keywords/", { window: state.range }, signal) : null,
      ]);
      if (mine !== asked) return;
      [stats, keywords] = answers;
      failed.replaceChildren();
      show();
    } catch (error) {
      if (signal.aborted || mine !== asked) return;
      failed.replaceChildren(errorNotice(error, load));
    }
    root.removeAttribute("aria-busy");
  }

  function show() {
    fresh.replaceChildren("computed ", when(stats.computed_at));
    sections.show(stats, keywords, state);
  }

  const timer = setInterval(() => !document.hidden && load(), REFRESH_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  await load();
}

function segments(label, choices, chosen, choose) {
  const element = h("div", { class: "segments", role: "group", "aria-label": label });
  const press = () => {
    for (const button of element.children)
      button.setAttribute("aria-pressed", String(button.dataset.value === chosen()));
  };
  element.append(
    ...choices.map(([value, text]) =>
      h(
        "button",
        {
          type: "button",
          "data-value": value,
          onclick: () => {
            choose(value);
            press();
          },
        },
        text,
      ),
    ),
  );
  press();
  return element;
}

const card = (title, note, ...content) =>
  h(
    "section",
    { class: "card" },
    h("header", {}, h("h2", {}, title), note && h("span", { class: "quiet" }, note)),
    ...content,
  );

function makeSections(signal) {
  const charts = Object.fromEntries(
    [
      ["timeline", "Posts and engagement by hour"],
      ["sentiment", "Sentiment of titles"],
      ["ages", "Engagement by age"],
    ].map(([name, label]) => [name, chart(label, signal)]),
  );
  const [figures, velocities, moods, keywords] = ["dl", "div", "div", "div"].map((tag) => h(tag));
  const [subreddits, top, authors] = ["Subreddits", "Posts", "Authors"].map((label) => scrollRegion(label));
  figures.className = "figures";
  const ranks = h("div", { class: "end" });
  const more = h("button", { class: "button small plain", type: "button" });
  const topCard = card("Posts", null, top);
  topCard.querySelector("header").append(ranks);
  const element = h(
    "div",
    {},
    figures,
    h(
      "div",
      { class: "grid" },
      h(
        "div",
        { class: "wide" },
        card(
          "Timeline",
          "posts created and their engagement (score + 2 × comments), by hour",
          h("div", { class: "body" }, charts.timeline.element),
        ),
      ),
      card(
        "Age and engagement",
        "how much engagement posts of an age have",
        h("div", { class: "body" }, charts.ages.element),
      ),
      card("Velocity", "posts by score a minute", h("div", { class: "body" }, velocities)),
      card("Sentiment", "of titles, −1 to 1", h("div", { class: "body stack" }, charts.sentiment.element, moods)),
      card("Keywords", "in most titles, and against the range before", h("div", { class: "body" }, keywords)),
      h("div", { class: "wide" }, card("Subreddits", "by posts", subreddits, h("div", { class: "below" }, more))),
      h("div", { class: "wide" }, topCard),
      card("Authors", "by engagement", authors),
    ),
  );
  function show(stats, words, state) {
    showFigures(figures, stats.overview);
    showTimeline(charts.timeline, stats.timeline);
    showAges(charts.ages, stats.ages);
    showSentiment(charts.sentiment, moods, stats.sentiment);
    velocities.replaceChildren(
      bars(stats.velocities.map(({ lower, upper, posts }) => ({ name: velocityRange(lower, upper), value: posts }))),
    );
    keywords.replaceChildren(words?.items.length ? keywordBars(words.items) : keywordBars(stats.keywords));
    subreddits.replaceChildren(
      subredditTable(state.all ? stats.subreddits : stats.subreddits.slice(0, FEW_SUBREDDITS)),
    );
    more.hidden = stats.subreddits.length <= FEW_SUBREDDITS;
    setText(more, state.all ? "Fewer" : `All ${count(stats.subreddits.length)}`);
    top.replaceChildren(postTable(stats[RANKS.find(([rank]) => rank === state.rank)?.[2] ?? "top_posts"]));
    authors.replaceChildren(authorTable(stats.top_authors));
  }
  return { element, ranks, more, show };
}

function showFigures(list, overview) {
  const figures = [
    ["Posts", count(overview.posts), plural(overview.subreddits, "subreddit", "subreddits")],
    ["Authors", count(overview.authors), "that Reddit names"],
    ["Trending", count(overview.trending), "at their newest observation"],
    ["Score", short(overview.total_score), `mean ${decimal(overview.average_score)}`],
    ["Comments", short(overview.total_comments), `mean ${decimal(overview.average_comments)}`],
    ["Sentiment", decimal(overview.average_sentiment), "mean of titles"],
  ];
  list.replaceChildren(
    ...figures.map(([label, value, note]) =>
      h("div", { class: "figure" }, h("dt", {}, label), h("dd", {}, value), h("dd", { class: "note" }, note)),
    ),
  );
}

function showTimeline(box, hours) {
  box.show({
    height: 240,
    x: {
      label: "Hour",
      values: hours.map(({ hour }) => Date.parse(hour)),
      time: true,
      format: absoluteTime,
      step: 3600,
    },
    series: [
      { label: "Posts", values: hours.map(({ posts }) => posts), colour: "bar-colour", format: count, bars: true },
      {
        label: "Engagement",
        values: hours.map((hour) => hour.total_score + 2 * hour.total_comments),
        colour: "accent",
        format: short,
        side: "right",
      },
    ],
  });
}

function showAges(box, ages) {
  box.show({
    x: {
      label: "Age",
      values: ages.map(({ age_hours: hours }) => hours),
      format: (hours) => `${count(hours)} h`,
      step: 1,
    },
    series: [
      {
        label: "Mean",
        values: ages.map((age) => age.average_engagement),
        colour: "bar-colour",
        format: short,
        bars: true,
      },
      {
        label: "Highest",
        values: ages.map((age) => age.highest_engagement),
        colour: "accent",
        format: short,
        side: "right",
      },
    ],
  });
}

function showSentiment(box, moods, { positive, neutral, negative, unknown, bins }) {
  box.show({
    height: 160,
    x: { label: "Sentiment", values: bins.map(({ lower, upper }) => (lower + upper) / 2), format: decimal, step: 0.1 },
    series: [
      { label: "Posts", values: bins.map(({ posts }) => posts), colour: "bar-colour", format: count, bars: true },
    ],
  });
  const rows = [
    ["positive", positive],
    ["neutral", neutral],
    ["negative", negative],
    ...(unknown ? [["unknown", unknown]] : []),
  ];
  moods.replaceChildren(bars(rows.map(([name, value]) => ({ name, value, kind: name }))));
}

function velocityRange(lower, upper) {
  const a = (value) => decimal(value * 60);
  if (lower === null) return `below ${a(upper)}`;
  return upper === null ? `${a(lower)} and more` : `${a(lower)} to ${a(upper)}`;
}

function bars(rows) {
  const most = Math.max(1, ...rows.map(({ value }) => value));
  if (!rows.length) return emptyState("Nothing in this range", "Choose a longer one.");
  return h(
    "dl",
    { class: "bars" },
    rows.map(({ name, value, kind, href, note }) => {
      const fill = h("span", { class: `fill ${kind ?? ""}` });
      fill.style.width = `${(value / most) * 100}%`;
      return [
        h("dt", { class: "name", title: name }, href ? h("a", { href }, name) : name),
        h("dd", { class: "track", "aria-hidden": "true" }, fill),
        h("dd", { class: "number" }, count(value), note),
      ];
    }),
  );
}

function keywordBars(items) {
  return bars(
    items.slice(0, 14).map(({ keyword, posts, posts_before: before }) => ({
      name: keyword,
      value: posts,
      href: `/?keyword=${encodeURIComponent(keyword)}`,
      note:
        before === undefined
          ? null
          : h(
              "span",
              {
                class: posts > before ? "up" : "quiet",
                title: `${plural(before, "post", "posts")} in the range before`,
              },
              before ? ` ×${decimal(posts / before)}` : " new",
            ),
    })),
  );
}

const numberHead = (text) => h("th", { scope: "col", class: "number" }, text);

function subredditTable(items) {
  if (!items.length) return emptyState("No posts in this range", "Choose a longer one.");
  return h(
    "table",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Subreddit"),
        ["Posts", "Trending", "Mean score", "Comments", "Sentiment"].map(numberHead),
      ),
    ),
    h(
      "tbody",
      {},
      items.map((item) =>
        h(
          "tr",
          {},
          h(
            "th",
            { scope: "row" },
            h("a", { href: `/?subreddit=${encodeURIComponent(item.subreddit)}` }, `r/${item.subreddit}`),
          ),
          [
            count(item.posts),
            count(item.trending),
            decimal(item.average_score),
            count(item.total_comments),
            decimal(item.average_sentiment),
          ].map((text) => h("td", { class: "number" }, text)),
        ),
      ),
    ),
  );
}

function postTable(items) {
  if (!items.length) return emptyState("No posts in this range", "Choose a longer one.");
  return h(
    "table",
    { class: "posts-table" },
    h(
      "thead",
      {},
      h("tr", {}, h("th", { scope: "col" }, "Post"), ["Score", "Comments", "Engagement", "Age"].map(numberHead)),
    ),
    h(
      "tbody",
      {},
      items.map((item) =>
        h(
          "tr",
          {},
          h(
            "th",
            { scope: "row" },
            h("a", { href: `/posts/${item.id}` }, item.title),
            h("span", { class: "quiet" }, ` r/${item.subreddit}`),
          ),
          h("td", { class: "number" }, count(item.current_score)),
          h("td", { class: "number" }, count(item.current_comments)),
          h("td", { class: "number" }, count(item.engagement_score)),
          h("td", { class: "number" }, when(item.created_utc)),
        ),
      ),
    ),
  );
}

function authorTable(items) {
  if (!items.length) return emptyState("No authors in this range", "Choose a longer one.");
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Author"), ["Posts", "Engagement"].map(numberHead))),
    h(
      "tbody",
      {},
      items.map((item) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, `u/${item.author}`),
          h("td", { class: "number" }, count(item.posts)),
          h("td", { class: "number" }, count(item.engagement_score)),
        ),
      ),
    ),
  );
}
