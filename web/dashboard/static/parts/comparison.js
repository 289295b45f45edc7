// Two to five subreddits, authors, searches or keywords side by side: their posts over time, and their figures.
import * as api from "../api.js";
import { h, scrollRegion, toast } from "../dom.js";
import { absoluteTime, count, decimal, engagement, short } from "../format.js";
import { Latest } from "../latest.js";
import { listOf } from "../urlstate.js";
import { chart } from "./chart.js";
import { button, field, options, segments } from "./form.js";
import { card, quiet } from "./layout.js";
import { accountName, subredditName } from "./names.js";
import { emptyState, errorNotice } from "./states.js";
import { table } from "./table.js";

const MOST_SUBJECTS = 5;
const COLOURS = ["accent", "info", "good", "warn", "bad"];
// A chart of more hours than this shows days.
const MOST_HOURS = 96;
// The kinds of subjects: a filter of the API, its text, and how a subject of the kind is shown.
const KINDS = [
  ["subreddit", "Subreddit", (value) => `r/${value}`],
  ["author", "Author", (value) => `u/${value}`],
  ["q", "Search", (value) => `search ${value}`],
  ["keyword", "Keyword", (value) => value],
];
export const MEASURES = [
  ["posts", "Posts", ({ posts }) => posts, count],
  ["engagement", "Engagement", (hour) => engagement(hour.total_score, hour.total_comments), short],
];
const COLUMNS = [
  {
    label: "Compared",
    cell: (stats) => h("a", { href: `/${api.query(filterOf(stats.subject))}` }, nameOf(stats.subject, stats)),
  },
  { label: "Posts", number: true, cell: ({ overview }) => count(overview.posts) },
  { label: "Authors", number: true, cell: ({ overview }) => count(overview.authors) },
  { label: "Subreddits", number: true, cell: ({ overview }) => count(overview.subreddits) },
  { label: "Took off", number: true, cell: ({ overview }) => count(overview.took_off) },
  { label: "Unusual", number: true, cell: ({ overview }) => count(overview.unusual) },
  { label: "Mean score", number: true, cell: ({ overview }) => decimal(overview.average_score) },
  { label: "Mean comments", number: true, cell: ({ overview }) => decimal(overview.average_comments) },
  { label: "Sentiment", number: true, cell: ({ overview }) => decimal(overview.average_sentiment) },
];

/** The kind and the value of a subject, which is written `kind:value`, as `keyword:rocket launch`. */
function partsOf(subject) {
  const [kind] = subject.split(":", 1);
  return [kind, subject.slice(kind.length + 1)];
}

const isKnown = (subject) => {
  const [kind, value] = partsOf(subject);
  return value !== "" && KINDS.some(([name]) => name === kind);
};

/** Each subject once: the case of a name, of a keyword or of a search makes no other subject. */
export function once(subjects) {
  const keys = subjects.map((subject) => subject.toLowerCase());
  return subjects.filter((_, index) => keys.indexOf(keys[index]) === index);
}

/** The subjects that the address of a page may have. */
export const SUBJECTS = listOf(
  isKnown,
  MOST_SUBJECTS,
  `up to ${MOST_SUBJECTS}: ${KINDS.map(([kind, text]) => `${kind}:${text.toLowerCase()}`).join(", ")}`,
);

const filterOf = (subject) => Object.fromEntries([partsOf(subject)]);

/** How a subject is shown. The statistics of a subreddit tell its name in Reddit's own spelling. */
function nameOf(subject, stats) {
  const [kind, value] = partsOf(subject);
  const spelled = kind === "subreddit" ? (stats?.subreddits[0]?.subreddit ?? value) : value;
  return KINDS.find(([name]) => name === kind)[2](spelled);
}

/** The sum of two totals; a total is null when there are posts of which no number is known. */
const sumOfKnown = (one, other) => (one === null || other === null ? (one ?? other) : one + other);

/** The hours of a timeline, or its days in the reader's time when there are too many hours. */
function bucketsOf(timeline) {
  if (timeline.length <= MOST_HOURS) return timeline;
  const days = new Map();
  for (const { hour, posts, total_score, total_comments } of timeline) {
    const day = new Date(hour).setHours(0, 0, 0, 0);
    const sums = days.get(day) ?? { hour: new Date(day).toISOString(), posts: 0, total_score: 0, total_comments: 0 };
    days.set(day, sums);
    if (posts === 0) continue;
    sums.total_score = sums.posts ? sumOfKnown(sums.total_score, total_score) : total_score;
    sums.total_comments = sums.posts ? sumOfKnown(sums.total_comments, total_comments) : total_comments;
    sums.posts += posts;
  }
  return [...days.values()];
}

/**
 * The card that compares: {element, load(parameters), add(kind, value)}. `state` is the page's {compare, measure}: the
 * subjects, and what the chart shows. `set(change)` must change the state. The parameters are of the API's statistics,
 * without subject.
 */
export function comparison(state, set, signal) {
  const loads = new Latest(signal);
  const plot = chart("Compared over time", signal);
  const figures = scrollRegion("Comparison");
  const chosen = h("ul", { class: "chips compared", "aria-label": "Compared" });
  const body = h("div", { class: "body" });
  const kind = h("select", { name: "kind" }, options(KINDS, "subreddit"));
  const value = h("input", { type: "text", maxlength: 200, autocapitalize: "none", spellcheck: "false" });
  const add = h("button", { class: "button", type: "submit" }, "Compare");
  const form = h("form", { class: "row compare" }, field("Kind", kind), field("Name or words", value), add);
  const measures = segments(
    "Compare by",
    MEASURES,
    () => state.measure,
    (measure) => {
      set({ measure });
      show();
    },
  );
  let parameters = null;
  let answers = [];

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const read = { subreddit: subredditName, author: accountName }[kind.value] ?? ((text) => text.trim());
    const text = read(value.value);
    if (!text) return;
    value.value = "";
    append(kind.value, text);
  });

  function append(kindOfIt, text) {
    if (subjects().length < MOST_SUBJECTS) choose([...subjects(), `${kindOfIt}:${text}`]);
    else toast(`${MOST_SUBJECTS} are compared already: leave one out first.`);
  }

  /** The subjects of the address, each once. */
  const subjects = () => once(state.compare);

  function choose(compare) {
    set({ compare: once(compare) });
    load(parameters);
  }

  function load(asked) {
    parameters = asked;
    const wanted = subjects();
    const ask = (subject) => api.get("/api/stats/", { ...asked, ...filterOf(subject) }, signal);
    showChosen(wanted, []);
    return loads.load({
      ask: () => Promise.all(wanted.map(ask)),
      show(found) {
        answers = found.map((stats, place) => ({ ...stats, subject: wanted[place] }));
        showChosen(wanted, answers);
        show();
      },
      fail: (error) => body.replaceChildren(errorNotice(error, () => load(parameters))),
    });
  }

  function showChosen(wanted, found) {
    add.disabled = wanted.length >= MOST_SUBJECTS;
    chosen.replaceChildren(
      ...wanted.map((subject, place) => {
        const name = nameOf(subject, found[place]);
        return h(
          "li",
          { class: "chip" },
          h("span", { class: `swatch ${COLOURS[place]}`, "aria-hidden": "true" }),
          h("span", {}, name),
          button("×", "plain small", () => choose(wanted.filter((one) => one !== subject)), {
            "aria-label": `Leave out ${name}`,
          }),
        );
      }),
    );
  }

  function show() {
    if (!answers.length) {
      body.replaceChildren(
        emptyState(
          "Nothing is compared yet",
          `Choose two to ${MOST_SUBJECTS} subreddits, authors, searches or keywords.`,
        ),
      );
      return;
    }
    body.replaceChildren(plot.element);
    const timelines = answers.map(({ timeline }) => bucketsOf(timeline));
    const values = [...new Set(timelines.flatMap((hours) => hours.map(({ hour }) => Date.parse(hour))))].sort(
      (a, b) => a - b,
    );
    const [, , measure, format] = MEASURES.find(([name]) => name === state.measure) ?? MEASURES[0];
    const series = timelines.map((hours, place) => {
      const known = new Map(hours.map((hour) => [Date.parse(hour.hour), measure(hour)]));
      const column = values.map((time) => known.get(time) ?? null);
      return { label: nameOf(answers[place].subject, answers[place]), values: column, colour: COLOURS[place], format };
    });
    const label = answers[0].timeline.length > MOST_HOURS ? "Day" : "Hour";
    plot.show({ height: 240, x: { label, values, time: true, format: absoluteTime }, series });
    figures.replaceChildren(table(COLUMNS, answers));
    body.append(figures);
  }

  const beside = quiet("posts created, over time");
  return {
    element: card({ title: "Side by side", beside, end: measures, region: "comparison" }, form, chosen, body),
    load,
    add(kindOfIt, text) {
      append(kindOfIt, text);
      body.scrollIntoView({ block: "center" });
    },
  };
}
