// What happens now: the signals, the posts that take off, and the post list.
import * as api from "../api.js";
import { h, icon, setText, toast } from "../dom.js";
import { download } from "../download.js";
import { count, decimal, plural } from "../format.js";
import { Latest } from "../latest.js";
import {
  apiParameters,
  DEFAULTS,
  exportParameters,
  FILTER_VALUES,
  filterForm,
  filterParameters,
  hasDays,
  matches,
  ORDERS,
  RANGES,
} from "../parts/filters.js";
import { button } from "../parts/form.js";
import { card, figureStrip, pageHead, quiet } from "../parts/layout.js";
import { afterObservation } from "../parts/observation.js";
import { PostList } from "../parts/post_list.js";
import { hasScore, Rising } from "../parts/rising.js";
import { activeSignals } from "../parts/signals.js";
import { emptyState, errorNotice } from "../parts/states.js";
import { saysMore } from "../parts/words.js";
import { rangeStart, readState, valuesOf, writeState } from "../urlstate.js";

export { DEFAULTS };

// Earlier links ask for this order, which is still the API's. It puts the noise of votes first.
const OLD_ORDER = "score_velocity";
export const VALUES = { ...FILTER_VALUES, range: valuesOf(RANGES), order: [...valuesOf(ORDERS), OLD_ORDER] };

const PAGE_SIZE = 50;
const CANDIDATES = 100;
const MOST_DISCOVERED = 100;
// The figures, and a post list in another order than the newest first or of a query, are loaded again at this interval.
const REFRESH_MS = 15_000;
const TOP_PX = 100;
const CHOICES = { defaults: DEFAULTS, ranges: RANGES, orders: ORDERS };
// How the API looked up the words of a search.
const LOOKED_UP = {
  english: "in any form of the words",
  simple: "the words as they are written",
  substring: "as a piece of text, among the newest posts",
};

/** Show the page in `root` until `signal` aborts. */
export async function mount(root, { live, signal, about }) {
  let state = readState(DEFAULTS, VALUES);
  if (state.order === OLD_ORDER) state.order = "trend_velocity";
  // The parameters of the list that is shown, and the cursor of its next page.
  let walk = null;
  let next = null;
  let hasFailed = false;
  // Posts that the stream brought. They may not be stored yet when the list is loaded.
  const discovered = new Map();
  const [listLoads, risingLoads] = [new Latest(signal), new Latest(signal)];
  const posts = new PostList();
  const rising = new Rising(about.trending_rule, signal);
  const signals = activeSignals(about, signal);
  const below = h("div", { class: "below" });
  const formBox = h("div", { class: "filter-box" });
  const wrongQuery = h("pre", { class: "wrong-query", role: "alert", hidden: true });
  const figures = liveFigures(signal, () => filterParameters(state));
  const lookedUp = quiet();
  const beside = quiet("fastest score gain of the last half hour");

  root.append(
    pageHead(
      "Now",
      "",
      h("a", { class: "button", href: "/topics" }, "Stories"),
      h("a", { class: "button", href: "/digest" }, "Yesterday"),
      button([icon("save"), "Export"], "", () => download("/api/export/posts/", exportParameters(state))),
      button([icon("share"), "Share"], "", copyAddress),
    ),
    formBox,
    wrongQuery,
    signals.element,
    figures.element,
    h(
      "div",
      { class: "columns" },
      card({ title: "Taking off", beside, region: "rising" }, rising.element),
      card({ title: "Posts", beside: lookedUp, region: "posts" }, posts.element, below),
    ),
  );

  function loadList() {
    walk = { ...apiParameters(state), page_size: PAGE_SIZE };
    return listLoads.load({
      ask: () => api.get("/api/posts/", walk, signal),
      show(page) {
        next = page.next;
        hasFailed = false;
        wrongQuery.hidden = true;
        setText(lookedUp, LOOKED_UP[page.search] ?? "");
        posts.replace(page.items);
        offerNew([...discovered.values()]);
        showBelow();
      },
      fail(error) {
        hasFailed = true;
        const fault = queryFault(error);
        setText(wrongQuery, fault?.message ?? "");
        wrongQuery.hidden = !fault;
        if (fault) posts.replace([]);
        below.replaceChildren(...(fault ? [] : [errorNotice(error, loadList)]));
      },
    });
  }

  function loadMore() {
    return listLoads.more({
      ask: () => api.get("/api/posts/", { ...walk, cursor: next }, signal),
      show(page) {
        next = page.next;
        posts.append(page.items);
        showBelow();
      },
      fail: (error) => below.replaceChildren(errorNotice(error, loadMore)),
    });
  }

  function loadRising() {
    const asked = { order: "trend_velocity", created_from: rangeStart("24h"), page_size: CANDIDATES };
    return risingLoads.load({
      async ask() {
        const choice = { ...filterParameters(state), ...asked };
        const { items } = await api.get("/api/posts/", choice, signal);
        if (items.length === 0 || items.some(hasScore)) return { items, areScoresKnown: true };
        // Unknown scores come last in this order. So the first post tells whether any has one.
        const best = await api.get("/api/posts/", { ...choice, order: "score", page_size: 1 }, signal);
        return { items, areScoresKnown: best.items.some(hasScore) };
      },
      show: ({ items, areScoresKnown }) => rising.replace(items, areScoresKnown),
      fail: (error) => {
        if (queryFault(error)) rising.replace([], true);
        else rising.element.replaceChildren(h("li", {}, errorNotice(error, loadRising)));
      },
    });
  }

  function reload() {
    loadList();
    loadRising();
  }

  function showBelow() {
    if (next) below.replaceChildren(button("Older posts", "", loadMore));
    else if (posts.size) below.replaceChildren(h("p", { class: "quiet" }, "That is all in this range."));
    else if (isFiltered())
      below.replaceChildren(emptyState("No post matches", "Widen the time range or clear a filter."));
    else below.replaceChildren(emptyState("No posts yet", NO_POSTS_ADVICE));
  }

  const isFiltered = () => !isSame({ ...state, order: "", range: "" }, { ...DEFAULTS, order: "", range: "" });

  function change(fresh, isCleared) {
    const isOtherSubreddit = !isSame(fresh.subreddit, state.subreddit);
    const isOtherChoice = !isSame(filterParameters(fresh), filterParameters(state));
    state = fresh;
    writeState(state, DEFAULTS);
    if (isCleared) showForm();
    if (isOtherSubreddit) {
      live.filter({ subreddit: state.subreddit });
      signals.filter(state.subreddit);
    }
    if (isOtherChoice) {
      loadRising();
      figures.load();
    }
    loadList();
  }

  function showForm() {
    formBox.replaceChildren(filterForm(state, change, CHOICES));
  }

  /** Take observations from the stream. */
  function take(observed) {
    rising.take(observed.filter((post) => matches(post, { ...state, created_from: "", created_to: "" })));
    for (const post of observed) {
      // Only a discovery is new. A refresh of an older post would jump to the top of the list.
      const known = discovered.get(post.id);
      if (known || post.first_seen_at === post.observed_at) discovered.set(post.id, afterObservation(known, post));
    }
    while (discovered.size > MOST_DISCOVERED) discovered.delete(discovered.keys().next().value);
    const others = posts.update(observed);
    if (offerNew(others.filter(({ id }) => discovered.has(id)))) showBelow();
  }

  /** Offer the new posts that belong into the list and are not shown yet. Returns whether there were any. */
  function offerNew(candidates) {
    if (state.order !== "newest") return false;
    const start = hasDays(state) ? null : rangeStart(state.range);
    const isInRange = ({ created_utc }) => !start || created_utc >= start;
    const fresh = posts.update(candidates).filter((post) => isInRange(post) && matches(post, state));
    if (fresh.length) posts.offer(fresh);
    return fresh.length > 0;
  }

  live.addEventListener(
    "posts",
    ({ detail: observed }) => {
      figures.countArrivals(observed.length);
      take(observed);
    },
    { signal },
  );
  live.addEventListener(
    "retract",
    ({ detail: gone }) => {
      for (const id of gone) discovered.delete(id);
      posts.remove(gone);
      rising.remove(gone);
      signals.takeAway(gone);
    },
    { signal },
  );
  live.addEventListener("reset", reload, { signal });
  live.addEventListener("state", ({ detail }) => hasFailed && detail.state === "live" && reload(), { signal });
  showForm();
  live.filter(state.subreddit.length ? { subreddit: state.subreddit } : {});
  const isRead = () => scrollY >= TOP_PX || posts.element.matches(":hover, :focus-within");
  const isLive = () => state.order === "newest" && !saysMore(state.q);
  listLoads.repeat(
    () => (saysMore(state.q) ? reload() : loadList()),
    REFRESH_MS,
    () => isLive() || isRead(),
  );
  await Promise.all([signals.filter(state.subreddit), loadList(), loadRising(), figures.load()]);
  // The stream may have been quicker than this page, and quicker than the database.
  take(live.recent());
}

const NO_POSTS_ADVICE =
  "The first ones arrive some seconds after a worker has started to poll. The page Operations shows whether one does.";

/** What the API says is wrong with the query; undefined when that is not what failed. */
const queryFault = (error) => error.errors?.find(({ parameter }) => parameter === "q");

const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

async function copyAddress() {
  try {
    await navigator.clipboard.writeText(location.href);
    toast("The address of this view is copied.");
  } catch {
    toast("Copy the address of this page: it holds the whole view.");
  }
}

/**
 * The figures of the last hour, which refresh themselves: {element, load(), countArrivals(number)}. `filters()` are the
 * API's parameters for the posts that count.
 */
function liveFigures(signal, filters) {
  const loads = new Latest(signal);
  const strip = figureStrip({
    posts: ["Posts, last hour", "created"],
    trending: ["Trending", "of these, at the moment"],
    score: ["Mean score", "of the last hour's posts"],
    sentiment: ["Mean sentiment", "of titles, −1 to 1"],
    rate: ["Observations", "a minute, on this page's stream"],
  });
  // Of the last minute: [time, number of observations].
  const arrivals = [];

  const load = () =>
    loads.load({
      ask: () => api.get("/api/stats/", { ...filters(), window: "1h" }, signal),
      show({ overview }) {
        const authors = plural(overview.authors, "author", "authors");
        const subreddits = plural(overview.subreddits, "subreddit", "subreddits");
        strip.set("posts", count(overview.posts), `${authors}, ${subreddits}`);
        strip.set("trending", count(overview.trending));
        strip.set("score", decimal(overview.average_score));
        strip.set("sentiment", decimal(overview.average_sentiment));
      },
      // The post list below says what is wrong. The figures keep what they showed last.
      fail() {},
    });

  function countArrivals(number) {
    const now = Date.now();
    arrivals.push([now, number]);
    while (arrivals[0][0] < now - 60_000) arrivals.shift();
    strip.set("rate", count(arrivals.reduce((sum, [, some]) => sum + some, 0)));
  }

  loads.repeat(load, REFRESH_MS);
  return { element: strip.element, load, countArrivals };
}
