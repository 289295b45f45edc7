// The filters of posts: a form, the API's parameters for it, and the same test for posts that come in live.
import { h, icon } from "../dom.js";
import { rangeStart, valuesOf } from "../urlstate.js";
import { field, options } from "./form.js";
import { accountName, subredditName } from "./names.js";
import { meets, saysMore } from "./words.js";

/** The filters of posts in an address, and their defaults. */
export const FILTERS = {
  q: "",
  subreddit: [],
  keyword: "",
  author: "",
  min_score: "",
  sentiment: "",
  trending: false,
  over_18: "",
  shown: "",
  min_sentiment: "",
  max_sentiment: "",
};
/** The time of the posts: days, or a range that ends now. */
export const TIMES = { range: "24h", created_from: "", created_to: "" };

export const DEFAULTS = { ...FILTERS, ...TIMES, order: "newest" };

export const ORDERS = [
  ["newest", "Newest"],
  ["score", "Score"],
  ["comments", "Comments"],
  ["trend_velocity", "Velocity"],
  ["trending_score", "Trending score"],
  ["momentum", "Momentum"],
  ["engagement", "Engagement"],
];
export const RANGES = [
  ["15m", "15 min"],
  ["1h", "1 hour"],
  ["6h", "6 hours"],
  ["24h", "24 hours"],
  ["7d", "7 days"],
  ["all", "All time"],
];
// The choice of a range that stands for the fields From day and To day.
const DAYS = "days";
const SENTIMENTS = [
  ["", "Any"],
  ["positive", "Positive"],
  ["neutral", "Neutral"],
  ["negative", "Negative"],
];
const OVER_18 = [
  ["", "Show"],
  ["0", "Hide"],
  ["1", "Only"],
];
const SHOWN = [
  ["", "Any"],
  ["1", "Only shown"],
  ["0", "No longer shown"],
];
/** The values of the filters that are a choice. */
export const FILTER_VALUES = { sentiment: valuesOf(SENTIMENTS) };
const TYPING_MS = 350;

/** The names in a list that somebody typed: separated by commas or spaces, with or without r/ or the address. */
const namesOf = (text) =>
  text
    .split(/[\s,]+/)
    .map(subredditName)
    .filter((name) => /^[A-Za-z0-9_:.-]{1,32}$/.test(name));

// An example of each thing that a search can say, and what it finds.
const SYNTAX = [
  ["rocket launch", "both words, in any form: also “launches”"],
  ['"rocket launch"', "the words one after the other"],
  ["mars or moon", "one of them"],
  ["rocket -toy", "without a word"],
  ["rocket (mars OR moon)", "also AND and NOT"],
  ["score>100 comments>=50", "numbers; also ratio, sentiment<-0.3, age<2h"],
  ["subreddit:python author:someone", "where, and by whom"],
  ["flair:news domain:example.com", "its flair, and where it links to"],
  ["signal:viral is:nsfw", "what goes on, and what is for adults"],
];

/** A button that shows what a search can say. */
const syntaxHelp = () =>
  h(
    "details",
    { class: "syntax" },
    h("summary", { class: "button icon", "aria-label": "How to search", title: "How to search" }, "?"),
    h(
      "div",
      {},
      h("p", {}, "A search looks at titles and texts. Capitals do not matter."),
      h(
        "dl",
        {},
        SYNTAX.map(([example, meaning]) => [h("dt", {}, h("code", {}, example)), h("dd", {}, meaning)]),
      ),
    ),
  );

/**
 * A form that shows a state and calls `changed(state, isCleared)` with the new state, while typing after a pause. When
 * everything was cleared, the page must show a new form. The choices are {defaults, ranges, orders}; without
 * `orders` there is nothing to order.
 */
export function filterForm(state, changed, { defaults, ranges, orders }) {
  const search = h("input", {
    type: "search",
    class: "input",
    value: state.q,
    placeholder: "Words in titles and texts",
    "aria-label": "Search posts",
    maxlength: 500,
    name: "q",
  });
  const order =
    orders && h("select", { class: "input", "aria-label": "Sort by", name: "order" }, options(orders, state.order));
  const range = h(
    "select",
    { class: "input", "aria-label": "Time range", name: "range" },
    options([...ranges, [DAYS, "By days"]], hasDays(state) ? DAYS : state.range),
  );
  const subreddit = h("input", {
    type: "text",
    value: state.subreddit.join(", "),
    placeholder: "python, science",
    autocapitalize: "none",
    spellcheck: "false",
    name: "subreddit",
  });
  const keyword = h("input", { type: "text", value: state.keyword, maxlength: 100, name: "keyword" });
  const author = h("input", {
    type: "text",
    value: state.author,
    maxlength: 64,
    autocapitalize: "none",
    spellcheck: "false",
    name: "author",
  });
  const firstDay = h("input", { type: "date", value: dayOf(state.created_from), name: "created_from" });
  const lastDay = h("input", { type: "date", value: dayOf(state.created_to, -1), name: "created_to" });
  const minScore = h("input", {
    type: "number",
    value: state.min_score,
    inputmode: "numeric",
    placeholder: "any",
    name: "min_score",
  });
  const sentiment = h("select", { name: "sentiment" }, options(SENTIMENTS, state.sentiment));
  const over18 = h("select", { name: "over_18" }, options(OVER_18, flag(state.over_18)));
  const shown = h("select", { name: "shown" }, options(SHOWN, flag(state.shown)));
  const trending = h("input", { type: "checkbox", checked: state.trending, name: "trending" });
  const collect = () => ({
    ...state,
    q: search.value.trim(),
    ...(order && { order: order.value }),
    range: range.value === DAYS ? state.range : range.value,
    subreddit: namesOf(subreddit.value),
    keyword: keyword.value.trim(),
    author: accountName(author.value),
    created_from: firstDay.value === dayOf(state.created_from) ? state.created_from : startOfDay(firstDay.value),
    created_to: lastDay.value === dayOf(state.created_to, -1) ? state.created_to : startOfDay(lastDay.value, 1),
    min_score: minScore.value.trim(),
    sentiment: sentiment.value,
    over_18: over18.value,
    shown: shown.value,
    trending: trending.checked,
  });
  const clear = h("button", { class: "button small plain", type: "reset" }, "Clear");
  const extra = [
    state.subreddit.length,
    state.keyword,
    state.author,
    state.min_score,
    state.sentiment,
    state.min_sentiment,
    state.max_sentiment,
    state.over_18,
    state.shown,
    state.created_from,
    state.created_to,
    state.trending,
  ].filter(Boolean).length;
  const more = h(
    "details",
    { class: "more", open: extra > 0 },
    h(
      "summary",
      { class: "button" },
      icon("filter"),
      "Filters",
      extra ? h("span", { class: "chip accent" }, String(extra)) : null,
    ),
    h(
      "div",
      { class: "more-fields" },
      field("Subreddits", subreddit),
      field("Keyword", keyword),
      field("Author", author),
      field("From day", firstDay),
      field("To day", lastDay),
      field("Lowest score", minScore),
      field("Sentiment", sentiment),
      field("18+", over18),
      field("On Reddit", shown),
      h("label", { class: "toggle" }, trending, "Trending only"),
      clear,
    ),
  );
  const form = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Posts" },
    search,
    syntaxHelp(),
    range,
    order,
    more,
  );
  let timer;
  const send = () => {
    clearTimeout(timer);
    changed(collect());
  };
  form.addEventListener("input", ({ target }) => {
    if (target.type !== "search" && target.type !== "text" && target.type !== "number") return;
    clearTimeout(timer);
    timer = setTimeout(send, TYPING_MS);
  });
  form.addEventListener("change", ({ target }) => {
    if (target === firstDay || target === lastDay) range.value = firstDay.value || lastDay.value ? DAYS : state.range;
    if (target === range && range.value === DAYS) leadToDays();
    else {
      if (target === range) firstDay.value = lastDay.value = "";
      send();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    changed({ ...defaults }, true);
  });
  return form;

  function leadToDays() {
    more.open = true;
    firstDay.focus();
  }
}

// The lowest and highest score of a label, both included. VADER's thresholds are -0.05 and 0.05.
const SENTIMENT_RANGES = { positive: [0.05, null], negative: [null, -0.05], neutral: [-0.0499, 0.0499] };

// These orders change with the clock. The API computes them only over a window.
const WINDOWED = ["momentum", "engagement"];

// What a choice of two is in the API.
const API_FLAGS = { 0: "false", 1: "true" };

/** A choice of two as the form has it: the API's "true" and "false" in an address are understood too. */
function flag(given) {
  return { false: "0", true: "1" }[given] ?? given;
}

/** The API's parameters for the filters of a state, without its time. */
export function filterParameters(state) {
  const [min, max] = SENTIMENT_RANGES[state.sentiment] ?? [state.min_sentiment, state.max_sentiment];
  return {
    q: state.q,
    subreddit: state.subreddit,
    keyword: state.keyword,
    author: state.author,
    min_score: state.min_score,
    min_sentiment: min,
    max_sentiment: max,
    trending: state.trending ? "true" : null,
    over_18: API_FLAGS[state.over_18] ?? state.over_18,
    shown: API_FLAGS[state.shown] ?? state.shown,
  };
}

/** The API's parameters of the post list for a state. A relative time range ends now. */
export function apiParameters(state) {
  return {
    ...filterParameters(state),
    order: state.order,
    created_from: hasDays(state) ? instant(state.created_from) : rangeStart(state.range),
    created_to: instant(state.created_to),
    window: WINDOWED.includes(state.order) ? (["7d", "all"].includes(state.range) ? "7d" : "24h") : null,
  };
}

/** The API's parameters of an export of the posts of a state: as a table, newest first. */
export function exportParameters(state) {
  const { created_from, created_to } = apiParameters(state);
  return { ...filterParameters(state), created_from, created_to, format: "csv" };
}

/** Whether a state has a range of days, which replaces the range that ends now. */
export const hasDays = ({ created_from, created_to }) => Boolean(created_from || created_to);

// A text that is no time stays as it is: the API says what is wrong with it.
export const instant = (text) => (Number.isNaN(Date.parse(text)) ? text : new Date(text).toISOString());

/** The reader's day of a moment, as a date field shows it; `ms` is added to the moment. Empty without a moment. */
function dayOf(text, ms = 0) {
  const moment = new Date(Date.parse(text) + ms);
  if (Number.isNaN(moment.getTime())) return "";
  const two = (number) => String(number).padStart(2, "0");
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}

/** The moment at which a day of a date field begins for the reader, `days` later; empty without a day. */
function startOfDay(day, days = 0) {
  if (!day) return "";
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + days).toISOString();
}

/**
 * Whether a live post matches a state. The API decides the same way, except that it searches by stems, and bodies. What
 * a query says beyond words only the API decides: then no post matches here, and the list must be loaded again.
 */
export function matches(post, state) {
  const label = post.nlp?.sentiment_label;
  const sentiment = post.nlp?.sentiment_score ?? Number.NaN;
  const created = Date.parse(post.created_utc);
  return (
    (state.subreddit.length === 0 ||
      state.subreddit.some((name) => name.toLowerCase() === post.subreddit.toLowerCase())) &&
    (state.min_score === "" || (post.current_score !== null && post.current_score >= Number(state.min_score))) &&
    (!state.trending || post.is_trending) &&
    (state.author === "" || (post.author ?? "").toLowerCase() === accountName(state.author).toLowerCase()) &&
    (state.sentiment === "" || label === state.sentiment) &&
    (state.min_sentiment === "" || sentiment >= Number(state.min_sentiment)) &&
    (state.max_sentiment === "" || sentiment <= Number(state.max_sentiment)) &&
    (state.over_18 === "" || post.over_18 === (flag(state.over_18) === "1")) &&
    // Reddit shows what is observed.
    flag(state.shown) !== "0" &&
    (state.created_from === "" || created >= Date.parse(state.created_from)) &&
    (state.created_to === "" || created < Date.parse(state.created_to)) &&
    (state.keyword === "" ||
      (post.nlp?.keywords ?? []).some((word) => word.toLowerCase() === state.keyword.toLowerCase())) &&
    !saysMore(state.q) &&
    meets(post.title, state.q)
  );
}
