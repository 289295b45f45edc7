// What happens now: what takes off, and the feed.
import * as api from "../api.js";
import { h, icon, setText, toast } from "../dom.js";
import { count, decimal, plural } from "../format.js";
import { Feed } from "../parts/feed.js";
import { apiParameters, DEFAULTS, filterForm, matches } from "../parts/filters.js";
import { Rising } from "../parts/rising.js";
import { emptyState, errorNotice } from "../parts/states.js";
import { rangeStart, readState, writeState } from "../urlstate.js";

const PAGE_SIZE = 50;
const CANDIDATES = 100;
const MOST_DISCOVERED = 100;
// Orders other than the newest are asked for anew this often; so are the figures on top.
const REFRESH_MS = 15_000;

export async function mount(root, { live, signal, about }) {
  let state = readState(DEFAULTS);
  let next = null;
  let asked = 0;
  let askedRising = 0;
  let walk = null;
  let failed = false;
  // What the stream brought may not be stored yet when the list is asked for.
  const discovered = new Map();
  const feed = new Feed();
  const rising = new Rising(about.trending_rule, signal);
  const below = h("div", { class: "below" });
  const formBox = h("div", { class: "filter-box" });
  const figures = figureStrip();
  const share = h("button", { class: "button", type: "button", onclick: copyAddress }, icon("share"), "Share");

  root.append(
    h("div", { class: "head" }, h("h1", { class: "grow" }, "Now"), share),
    figures.element,
    h(
      "div",
      { class: "columns" },
      h(
        "section",
        { class: "card", "aria-labelledby": "rising-title" },
        h(
          "header",
          {},
          h("h2", { id: "rising-title" }, "Taking off"),
          h("span", { class: "quiet" }, "fastest score gain of the last half hour"),
        ),
        rising.element,
      ),
      h(
        "section",
        { class: "card", "aria-labelledby": "feed-title" },
        h("header", {}, h("h2", { id: "feed-title" }, "Posts"), formBox),
        feed.element,
        below,
      ),
    ),
  );

  async function load() {
    const mine = ++asked;
    walk = { ...apiParameters(state), page_size: PAGE_SIZE };
    try {
      const page = await api.get("/api/posts/", walk, signal);
      if (mine !== asked) return;
      next = page.next;
      failed = false;
      feed.replace(page.items);
      showNew([...discovered.values()]);
      showBelow();
    } catch (error) {
      if (signal.aborted || mine !== asked) return;
      failed = true;
      below.replaceChildren(errorNotice(error, load));
    }
  }

  async function loadMore() {
    const mine = asked;
    try {
      const page = await api.get("/api/posts/", { ...walk, cursor: next }, signal);
      if (mine !== asked) return;
      next = page.next;
      feed.append(page.items);
      showBelow();
    } catch (error) {
      if (!signal.aborted) below.replaceChildren(errorNotice(error, loadMore));
    }
  }

  function showBelow() {
    if (next) below.replaceChildren(h("button", { class: "button", type: "button", onclick: loadMore }, "Older posts"));
    else if (feed.size) below.replaceChildren(h("p", { class: "quiet" }, "That is all in this range."));
    else
      below.replaceChildren(
        isFiltered()
          ? emptyState("No post matches", "Widen the time range or clear a filter.")
          : emptyState(
              "No posts yet",
              "The first ones arrive some seconds after a worker has started to poll. The page Operations shows whether one does.",
            ),
      );
  }

  const isFiltered = () =>
    JSON.stringify({ ...state, order: "", range: "" }) !== JSON.stringify({ ...DEFAULTS, order: "", range: "" });

  async function loadRising() {
    const mine = ++askedRising;
    try {
      const page = await api.get(
        "/api/posts/",
        {
          subreddit: state.subreddit,
          order: "score_velocity",
          created_from: rangeStart("24h"),
          page_size: CANDIDATES,
        },
        signal,
      );
      if (mine === askedRising) rising.replace(page.items);
    } catch (error) {
      if (!signal.aborted && mine === askedRising)
        rising.element.replaceChildren(h("li", {}, errorNotice(error, loadRising)));
    }
  }

  function change(fresh, { rebuild = false } = {}) {
    const narrower = fresh.subreddit.join() !== state.subreddit.join();
    state = fresh;
    writeState(state, DEFAULTS);
    if (rebuild) formBox.replaceChildren(filterForm(state, changed));
    if (narrower) {
      live.filter({ subreddits: state.subreddit });
      loadRising();
    }
    load();
  }
  const changed = (fresh) => change(fresh, { rebuild: JSON.stringify(fresh) === JSON.stringify(DEFAULTS) });

  function take(posts) {
    rising.take(posts);
    for (const post of posts) {
      // Only discoveries are new; a refresh of an older post would jump to the top.
      if (post.first_seen_at === post.observed_at || discovered.has(post.id)) discovered.set(post.id, post);
    }
    while (discovered.size > MOST_DISCOVERED) discovered.delete(discovered.keys().next().value);
    const others = feed.update(posts);
    if (showNew(others.filter(({ id }) => discovered.has(id)))) showBelow();
  }

  function showNew(posts) {
    const start = rangeStart(state.range);
    const fresh =
      state.order === "newest"
        ? feed.update(posts).filter((post) => (!start || post.created_utc >= start) && matches(post, state))
        : [];
    if (fresh.length) feed.offer(fresh);
    return fresh.length > 0;
  }

  const reload = () => {
    load();
    loadRising();
  };
  live.addEventListener(
    "posts",
    ({ detail: posts }) => {
      figures.seen(posts.length);
      take(posts);
    },
    { signal },
  );
  live.addEventListener("reset", reload, { signal });
  live.addEventListener("state", ({ detail }) => failed && detail.state === "live" && reload(), { signal });
  formBox.append(filterForm(state, changed));
  live.filter(state.subreddit.length ? { subreddits: state.subreddit } : {});
  const timer = setInterval(() => {
    if (document.hidden) return;
    figures.load(signal);
    if (state.order !== "newest" && scrollY < 100 && !feed.element.matches(":hover, :focus-within")) load();
  }, REFRESH_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  await Promise.all([load(), loadRising(), figures.load(signal)]);
  // The stream may have been quicker than this page was loaded, and than the database.
  take(live.recent());
}

async function copyAddress() {
  try {
    await navigator.clipboard.writeText(location.href);
    toast("The address of this view is copied.");
  } catch {
    toast("Copy the address of this page: it holds the whole view.");
  }
}

function figureStrip() {
  const figure = (label, note) => {
    const value = h("dd", {}, "–");
    const extra = h("dd", { class: "note" }, note);
    return { value, extra, element: h("div", { class: "figure" }, h("dt", {}, label), value, extra) };
  };
  const posts = figure("Posts, last hour", "created");
  const trending = figure("Trending", "of these, at the moment");
  const score = figure("Mean score", "of the last hour's posts");
  const sentiment = figure("Mean sentiment", "of titles, −1 to 1");
  const rate = figure("Observations", "a minute, on this page's stream");
  const parts = [posts, trending, score, sentiment, rate];
  const arrivals = [];
  return {
    element: h(
      "dl",
      { class: "figures" },
      parts.map(({ element }) => element),
    ),
    seen(number) {
      const now = Date.now();
      arrivals.push([now, number]);
      while (arrivals.length && arrivals[0][0] < now - 60_000) arrivals.shift();
      setText(rate.value, count(arrivals.reduce((sum, [, some]) => sum + some, 0)));
    },
    async load(signal) {
      try {
        const { overview } = await api.get("/api/stats/", { window: "1h" }, signal);
        setText(posts.value, count(overview.posts));
        setText(
          posts.extra,
          `${plural(overview.authors, "author", "authors")}, ${plural(overview.subreddits, "subreddit", "subreddits")}`,
        );
        setText(trending.value, count(overview.trending));
        setText(score.value, decimal(overview.average_score));
        setText(sentiment.value, decimal(overview.average_sentiment));
      } catch {
        // The feed below says what is wrong, with what to do; the figures keep what they last showed.
      }
    },
  };
}
