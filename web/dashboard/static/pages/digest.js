// What a day was about, to read in a minute: what stood out, the highest scores, what titles were about.
import * as api from "../api.js";
import { h, icon, scrollRegion } from "../dom.js";
import { download } from "../download.js";
import { count, orUnknown, percentage } from "../format.js";
import { Latest } from "../latest.js";
import { button, field } from "../parts/form.js";
import { card, figureStrip, pageHead, quiet } from "../parts/layout.js";
import { keywordPath, subredditLink } from "../parts/links.js";
import { signalCard } from "../parts/signal.js";
import { emptyState, errorNotice } from "../parts/states.js";
import { table } from "../parts/table.js";
import { titleLink } from "../parts/title.js";
import { readState, writeState } from "../urlstate.js";

// A day in UTC; empty for yesterday.
export const DEFAULTS = { day: "" };
const DAY_MS = 86_400_000;
const POSTS = [
  { label: "Post", cell: titleLink },
  { label: "Subreddit", cell: ({ subreddit }) => subredditLink(subreddit) },
  { label: "Score", number: true, cell: ({ current_score: score }) => orUnknown(score) },
  { label: "Comments", number: true, cell: ({ current_comments: comments }) => orUnknown(comments) },
];
const COUNTS = [
  { label: "Posts", number: true, cell: ({ posts }) => count(posts) },
  { label: "The day before", number: true, cell: ({ posts_before: before }) => count(before) },
];
const SUBREDDITS = [{ label: "Subreddit", cell: ({ subreddit }) => subredditLink(subreddit) }, ...COUNTS];
const KEYWORDS = [
  { label: "Keyword", cell: ({ keyword }) => h("a", { href: keywordPath(keyword) }, keyword) },
  ...COUNTS,
  { label: "Subreddits", number: true, cell: ({ subreddits }) => count(subreddits) },
];

const isoDay = (time) => new Date(time).toISOString().slice(0, 10);

/** Show the page in `root` until `signal` aborts. */
export async function mount(root, { live, signal }) {
  live.pause();
  const state = readState(DEFAULTS);
  const loads = new Latest(signal);
  const content = h("div");
  const asked = () => ({ day: state.day || isoDay(Date.now() - DAY_MS) });

  const load = () =>
    loads.load({
      ask: () => api.get("/api/digest/", asked(), signal),
      show: (digest) => content.replaceChildren(...sections(digest)),
      fail: (error) => content.replaceChildren(errorNotice(error, load)),
    });

  const day = h("input", {
    type: "date",
    value: asked().day,
    max: isoDay(Date.now()),
    onchange() {
      state.day = day.value;
      writeState(state, DEFAULTS);
      load();
    },
  });
  const saved = () => download("/api/digest/page/", asked());
  root.append(
    pageHead("Digest", quiet("a day in UTC"), field("Day", day), button([icon("save"), "Save as a page"], "", saved)),
    content,
  );
  await load();
}

function sections(digest) {
  if (!digest.posts)
    return [emptyState("No posts of this day", "Choose a day on which subreddits were watched, or is not over yet.")];
  const { signals, strongest } = digest;
  const figures = figureStrip({
    posts: ["Posts", `${count(digest.posts_before)} the day before`],
    authors: ["Authors", "that Reddit names"],
    viral: ["Took off", "likely among the best 1 %"],
    unusual: ["Unusual", "posts and subreddits"],
    bursts: ["On everyone's lips", "terms in many titles"],
    covered: ["Covered", "of the subreddits' time"],
  });
  figures.set("posts", count(digest.posts));
  figures.set("authors", count(digest.authors));
  figures.set("viral", count(signals.viral));
  figures.set("unusual", count(signals.unusual_here));
  figures.set("bursts", count(signals.burst));
  figures.set("covered", percentage(digest.covered));
  const list = h(
    "ol",
    { class: "signal-list" },
    strongest.map((one) => signalCard(one).element),
  );
  const stood = strongest.length ? list : emptyState("Nothing stood out", "No signal began on this day.");
  const tableCard = (title, columns, items) => card({ title }, scrollRegion(title, table(columns, items)));
  return [
    figures.element,
    card({ title: "What stood out", region: "strongest" }, stood),
    tableCard("Highest scores", POSTS, digest.most_upvoted),
    tableCard("Most discussed", POSTS, digest.most_commented),
    h(
      "div",
      { class: "grid" },
      tableCard("Busiest subreddits", SUBREDDITS, digest.subreddits),
      tableCard("What titles were about", KEYWORDS, digest.keywords),
    ),
  ];
}
