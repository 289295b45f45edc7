// The sections of the analytics page: figures, charts, bars and tables of the API's statistics.
import { h, scrollRegion, setText } from "../dom.js";
import { absoluteTime, count, decimal, engagement, orUnknown, plural, short, when } from "../format.js";
import { sparkline } from "../spark.js";
import { bars } from "./bars.js";
import { chart } from "./chart.js";
import { button, segments } from "./form.js";
import { card, figureStrip, quiet } from "./layout.js";
import { authorLink, keywordPath, subredditLink } from "./links.js";
import { emptyState } from "./states.js";
import { table } from "./table.js";
import { titleLink } from "./title.js";

// Value and text of a way to rank posts, and the list of the statistics that has them.
export const RANKS = [
  ["engagement", "Engagement", "top_posts"],
  ["score", "Score", "most_upvoted"],
  ["comments", "Comments", "most_commented"],
];
const FEW_SUBREDDITS = 12;
const MOST_KEYWORDS = 14;

/**
 * The sections: {element, show(stats, keywords)}. `state` is the page's {rank, all}: how posts are ranked, and whether
 * all subreddits are shown. `set(change)` must change the state and show the sections again. `compared` is the
 * card that compares; it stands below the timeline, and rows of the tables can be added to it.
 */
export function makeSections(state, set, signal, compared) {
  const figures = figureStrip({
    posts: ["Posts"],
    authors: ["Authors", "that Reddit names"],
    trending: ["Trending", "at their newest observation"],
    score: ["Score"],
    comments: ["Comments"],
    sentiment: ["Sentiment", "mean of titles"],
  });
  const timeline = chart("Posts and engagement by hour", signal);
  const ages = chart("Engagement by age", signal);
  const sentiment = chart("Sentiment of titles", signal);
  const [velocities, moods, words] = [h("div"), h("div"), h("div")];
  const [subreddits, posts, authors] = ["Subreddits", "Posts", "Authors"].map((label) => scrollRegion(label));
  posts.classList.add("posts-table");
  const ranks = segments(
    "Rank by",
    RANKS,
    () => state.rank,
    (rank) => set({ rank }),
  );
  const more = button("", "small plain", () => set({ all: !state.all }));

  const section = (title, note, ...content) =>
    card({ title, beside: quiet(note) }, h("div", { class: "body" }, content));
  const wide = (...content) => h("div", { class: "wide" }, content);
  const grid = h(
    "div",
    { class: "grid" },
    wide(section("Timeline", "posts created and their engagement (score + 2 × comments), by hour", timeline.element)),
    wide(compared.element),
    section("Age and engagement", "how much engagement posts of an age have", ages.element),
    section("Velocity", "posts by trend velocity, score a minute", velocities),
    section("Sentiment", "of titles, −1 to 1", h("div", { class: "stack" }, sentiment.element, moods)),
    section("Keywords", "in most titles, over the range and against the range before", words),
    wide(card({ title: "Subreddits", beside: quiet("by posts") }, subreddits, h("div", { class: "below" }, more))),
    wide(card({ title: "Posts", end: ranks }, posts)),
    card({ title: "Authors", beside: quiet("by engagement") }, authors),
  );

  /** A column with buttons that add the subreddit or the author of a row to the comparison. */
  const compareColumn = (kind, prefix) => ({
    label: h("span", { class: "unseen" }, "Compare"),
    number: true,
    cell: ({ [kind]: name }) =>
      button("Compare", "small plain", () => compared.add(kind, name), { "aria-label": `Compare ${prefix}${name}` }),
  });
  const subredditColumns = [...SUBREDDIT_COLUMNS, compareColumn("subreddit", "r/")];
  const authorColumns = [...AUTHOR_COLUMNS, compareColumn("author", "u/")];

  function show(stats, keywords) {
    showFigures(figures, stats.overview);
    showTimeline(timeline, stats.timeline);
    showAges(ages, stats.ages);
    showSentiment(sentiment, stats.sentiment.bins);
    moods.replaceChildren(bars(moodRows(stats.sentiment)));
    velocities.replaceChildren(barsOrNone(stats.velocities.map(velocityRow)));
    const shownKeywords = keywords?.items.length ? keywords.items : stats.keywords;
    // A young installation has no posts of the range before, and everything would be new.
    const hasBefore = shownKeywords.some(({ posts_before }) => posts_before > 0);
    const rows = shownKeywords.slice(0, MOST_KEYWORDS).map((keyword) => keywordRow(keyword, hasBefore));
    words.replaceChildren(barsOrNone(rows));
    const shownSubreddits = state.all ? stats.subreddits : stats.subreddits.slice(0, FEW_SUBREDDITS);
    subreddits.replaceChildren(tableOrNone("posts", subredditColumns, shownSubreddits));
    more.hidden = stats.subreddits.length <= FEW_SUBREDDITS;
    setText(more, state.all ? "Fewer" : `All ${count(stats.subreddits.length)}`);
    const list = RANKS.find(([rank]) => rank === state.rank)?.[2] ?? "top_posts";
    posts.replaceChildren(tableOrNone("posts", POST_COLUMNS, stats[list]));
    authors.replaceChildren(tableOrNone("authors", authorColumns, stats.top_authors));
  }
  return { element: h("div", {}, figures.element, grid), show };
}

const SUBREDDIT_COLUMNS = [
  { label: "Subreddit", cell: ({ subreddit }) => subredditLink(subreddit) },
  { label: "Posts", number: true, cell: ({ posts }) => count(posts) },
  { label: "Trending", number: true, cell: ({ trending }) => count(trending) },
  { label: "Mean score", number: true, cell: ({ average_score }) => orUnknown(average_score, decimal) },
  { label: "Comments", number: true, cell: ({ total_comments }) => orUnknown(total_comments) },
  { label: "Sentiment", number: true, cell: ({ average_sentiment }) => decimal(average_sentiment) },
];
const POST_COLUMNS = [
  { label: "Post", cell: (post) => [titleLink(post), quiet(` r/${post.subreddit}`)] },
  { label: "Score", number: true, cell: ({ current_score }) => orUnknown(current_score) },
  { label: "Comments", number: true, cell: ({ current_comments }) => orUnknown(current_comments) },
  { label: "Engagement", number: true, cell: ({ engagement_score }) => orUnknown(engagement_score) },
  { label: "Age", number: true, cell: ({ created_utc }) => when(created_utc) },
];
const AUTHOR_COLUMNS = [
  { label: "Author", cell: ({ author }) => authorLink(author) },
  { label: "Posts", number: true, cell: ({ posts }) => count(posts) },
  { label: "Engagement", number: true, cell: ({ engagement_score }) => orUnknown(engagement_score) },
];

const tableOrNone = (what, columns, items) =>
  items.length ? table(columns, items) : emptyState(`No ${what} in this range`, "Choose a longer one.");

const barsOrNone = (rows) => (rows.length ? bars(rows) : emptyState("Nothing in this range", "Choose a longer one."));

function showFigures(strip, overview) {
  strip.set("posts", count(overview.posts), plural(overview.subreddits, "subreddit", "subreddits"));
  strip.set("authors", count(overview.authors));
  strip.set("trending", count(overview.trending));
  strip.set("score", short(overview.total_score), `mean ${decimal(overview.average_score)}`);
  strip.set("comments", short(overview.total_comments), `mean ${decimal(overview.average_comments)}`);
  strip.set("sentiment", decimal(overview.average_sentiment));
}

function showTimeline(box, hours) {
  const values = hours.map(({ hour }) => Date.parse(hour));
  const engagements = hours.map((hour) => engagement(hour.total_score, hour.total_comments));
  box.show({
    height: 240,
    x: { label: "Hour", values, time: true, format: absoluteTime, step: 3600 },
    series: [
      { label: "Posts", values: hours.map(({ posts }) => posts), colour: "bar-colour", format: count, bars: true },
      { label: "Engagement", values: engagements, colour: "accent", format: short, side: "right" },
    ],
  });
}

function showAges(box, ages) {
  const means = ages.map(({ average_engagement }) => average_engagement);
  const highest = ages.map(({ highest_engagement }) => highest_engagement);
  box.show({
    x: {
      label: "Age",
      values: ages.map(({ age_hours }) => age_hours),
      format: (hours) => `${count(hours)} h`,
      step: 1,
    },
    series: [
      { label: "Mean", values: means, colour: "bar-colour", format: short, bars: true },
      { label: "Highest", values: highest, colour: "accent", format: short, side: "right" },
    ],
  });
}

function showSentiment(box, bins) {
  box.show({
    height: 160,
    x: { label: "Sentiment", values: bins.map(({ lower, upper }) => (lower + upper) / 2), format: decimal, step: 0.1 },
    series: [
      { label: "Posts", values: bins.map(({ posts }) => posts), colour: "bar-colour", format: count, bars: true },
    ],
  });
}

function moodRows(sentiment) {
  const names = ["positive", "neutral", "negative", ...(sentiment.unknown ? ["unknown"] : [])];
  return names.map((name) => ({ name, value: sentiment[name], kind: name }));
}

/** Velocities are per second in the API and per minute for the reader; null means that a range is open. */
function velocityRow({ lower, upper, posts }) {
  const rate = (perSecond) => decimal(perSecond * 60);
  if (lower === null) return { name: `below ${rate(upper)}`, value: posts };
  if (upper === null) return { name: `${rate(lower)} and more`, value: posts };
  return { name: `${rate(lower)} to ${rate(upper)}`, value: posts };
}

/** The trend, and the comparison with the range before, are missing when the keywords come from the statistics. */
function keywordRow({ keyword, posts, posts_before: before, trend }, hasBefore) {
  const row = { name: keyword, value: posts, href: keywordPath(keyword) };
  if (!trend) return row;
  const spark = sparkline(`Posts with “${keyword}” over the range`);
  spark.draw(trend.map((number, part) => [part, number]));
  const title = `${plural(before, "post", "posts")} in the range before`;
  const text = before ? ` ×${decimal(posts / before)}` : " new";
  const change = hasBefore && h("span", { class: posts > before ? "up" : "quiet", title }, text);
  return { ...row, note: [h("span", { class: "trend" }, spark.element), change] };
}
