// How the installation does: lag, throughput, budget, workers, dead letters, health, gaps, coverage, erasure, runs.
import * as api from "../api.js";
import { h, scrollRegion } from "../dom.js";
import { count, decimal, duration, NONE, plural, short, when } from "../format.js";
import { Latest } from "../latest.js";
import { coverageCard } from "../parts/coverage.js";
import { erasureCard } from "../parts/erasure.js";
import { card, figureStrip, pageHead, quiet } from "../parts/layout.js";
import * as letters from "../parts/letters.js";
import * as runs from "../parts/runs.js";
import { emptyState, errorNotice } from "../parts/states.js";
import { table } from "../parts/table.js";
import { sparkline } from "../spark.js";
import { readState, writeState } from "../urlstate.js";

export const DEFAULTS = { ...letters.DEFAULTS, ...runs.DEFAULTS };
export const VALUES = { ...letters.VALUES, ...runs.VALUES };

const REFRESH_MS = 3000;
const MOST_POINTS = 200;
const STATUS_COLOURS = { running: "good", recovering: "warn", silent: "bad" };

/** Show the page in `root` until `signal` aborts. */
export async function mount(root, { signal, session, live }) {
  live.pause();
  const loads = new Latest(signal);
  const fresh = quiet();
  const failed = h("div");
  const figures = operationFigures();
  const [workers, health, gaps] = [scrollRegion("Workers"), h("div", { class: "body" }), scrollRegion("Open gaps")];
  const [coverage, erasure] = [coverageCard(signal), erasureCard(signal)];
  const state = readState(DEFAULTS, VALUES);
  const keep = () => writeState(state, DEFAULTS);
  const ofLetters = letters.lettersCard({ signal, mayReplay: session.role !== "reader", state, keep });
  const ofRuns = runs.runsCard({ signal, state, keep });
  root.append(
    pageHead("Operations", fresh),
    failed,
    figures.element,
    h(
      "div",
      { class: "operations-grid" },
      h(
        "div",
        { class: "stack" },
        card({ title: "Workers", beside: quiet("heartbeat every 5 s") }, workers),
        ofLetters.element,
      ),
      h(
        "div",
        { class: "stack" },
        card({ title: "Health" }, health),
        card({ title: "Open gaps", beside: quiet("stretches of listings not proven complete yet") }, gaps),
      ),
    ),
    coverage.element,
    erasure.element,
    ofRuns.element,
  );

  const load = () =>
    loads.load({
      ask: () => api.get("/api/operations/", {}, signal),
      show(now) {
        failed.replaceChildren();
        fresh.replaceChildren("as of ", when(now.computed_at));
        figures.show(now);
        workers.replaceChildren(workersTable(now.workers));
        health.replaceChildren(healthList(now));
        gaps.replaceChildren(gapsTable(now.gaps));
      },
      fail: (error) => failed.replaceChildren(errorNotice(error, load)),
    });

  loads.repeat(load, REFRESH_MS);
  await Promise.all([load(), ofLetters.load(), coverage.load(), erasure.load(), ofRuns.load()]);
}

const total = (numbers) => Object.values(numbers ?? {}).reduce((sum, value) => sum + value, 0);

/** A rate of an agent in records per second. It is known only after the API has looked at the worker twice. */
const rate = (rates, agent) => (rates ? `${decimal(rates[agent] ?? 0)}/s` : "…");

/** The figures on top, each with its development since the page was opened: {element, show(operations)}. */
function operationFigures() {
  const labels = {
    lag: ["Lag"],
    throughput: ["Throughput"],
    budget: ["API budget"],
    letters: ["Dead letters"],
    visible: ["Until visible"],
  };
  const strip = figureStrip(labels);
  const lines = new Map();
  for (const [name, [label]] of Object.entries(labels)) {
    const spark = sparkline(`${label} since this page was opened`);
    lines.set(name, { spark, points: [] });
    strip.append(name, h("dd", { class: "spark-row" }, spark.element));
  }

  function addPoint({ spark, points }, number) {
    if (!Number.isFinite(number)) return;
    points.push([Date.now(), number]);
    if (points.length > MOST_POINTS) points.shift();
    spark.draw(points);
  }

  /** Show a figure of a part of the installation, or why that part is not available. */
  function set(name, part, text, note, number) {
    strip.set(name, part.available ? text : NONE, part.available ? note : part.reason);
    if (part.available) addPoint(lines.get(name), number);
  }

  function show({ flow, budget, dead_letters: dead }) {
    const rates = flow.records_per_second;
    const stored = rates ? `enriched; ${rate(rates, "sink")} stored` : "known after the second look";
    const spent = `requests in the last minute, by ${budget.poller}`;
    const { dead: open = 0, replayed = 0, resolved = 0 } = dead.counts;
    const others = replayed ? `${count(replayed)} on their way again` : `${count(resolved)} resolved`;
    set("lag", flow, count(total(flow.lag)), lagNote(flow), total(flow.lag));
    set("throughput", flow, rate(rates, "enrich"), stored, rates?.enrich);
    set("budget", budget, `${count(budget.used)} of ${count(budget.limit)}`, spent, budget.used);
    set("letters", dead, count(open), others, open);
    set(
      "visible",
      flow,
      duration(flow.visible_seconds),
      "from publication to a stored row, mean",
      flow.visible_seconds,
    );
  }
  return { element: strip.element, show };
}

function lagNote(flow) {
  const shortName = (topic) => topic.split(".").slice(-2).join(".");
  const behind = Object.entries(flow.lag).filter(([, records]) => records > 0);
  const topics = behind.sort().map(([topic, records]) => `${shortName(topic)} ${short(records)}`);
  const age = flow.oldest_unprocessed_seconds;
  const notes = [topics.join(", ") || "records not committed yet"];
  if (topics.length && age > 0) notes.push(`the oldest ${duration(age)} old`);
  if (flow.commits_beyond_end) notes.push(`commits are ${count(flow.commits_beyond_end)} beyond the log`);
  if (flow.partitions_standing_still) notes.push(`standing still: ${count(flow.partitions_standing_still)} partitions`);
  if (flow.rewinds) notes.push(`read again after a loss: ${count(flow.rewinds)} partitions`);
  return notes.join("; ") + (flow.complete ? "" : " (not all workers answer)");
}

const unavailable = (part) => h("div", { class: "notice warn inside" }, h("strong", {}, "Not available"), part.reason);

const WORKER_COLUMNS = [
  { label: "Worker" },
  { label: "State" },
  { label: "Heartbeat" },
  { label: "Lag", number: true },
  { label: "Enriched", number: true },
  { label: "Stored", number: true },
  { label: "Up since", number: true },
];

function workersTable(workers) {
  if (!workers.available) return unavailable(workers);
  if (!workers.items.length)
    return emptyState(
      "No worker reports",
      "Start one with `signalflow up`, or with `faust -A signalflow worker` and the settings of this installation",
    );
  return table(WORKER_COLUMNS, workers.items, workerRow);
}

function workerRow({ name, status, metrics, ...worker }) {
  const number = (content) => h("td", { class: "number" }, content);
  const rates = metrics.records_per_second;
  const marks = [
    worker.is_poller && h("span", { class: "chip accent" }, "polls"),
    worker.is_leader && h("span", { class: "chip" }, "leader"),
  ];
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("span", { class: "chips" }, name, marks)),
    h("td", {}, h("span", { class: `chip ${STATUS_COLOURS[status]}` }, status)),
    h("td", {}, when(worker.heartbeat_at)),
    metrics.available
      ? [count(total(metrics.lag)), rate(rates, "enrich"), rate(rates, "sink")].map(number)
      : h("td", { colspan: 3, class: "quiet" }, metrics.reason),
    number(when(worker.started_at)),
  );
}

function healthList({ database, kafka, workers, budget }) {
  const milliseconds = (part) => `${decimal(part.milliseconds)} ms`;
  const copies = kafka.replicas_out_of_sync ? `, ${plural(kafka.replicas_out_of_sync, "copy", "copies")} behind` : "";
  const missing = kafka.topics_missing?.length ? `, missing: ${kafka.topics_missing.join(", ")}` : "";
  const unreadCount = total(kafka.partitions_unread ?? {});
  const unread = unreadCount ? `, ${plural(unreadCount, "partition", "partitions")} that no worker reads` : "";
  const troubles = `${copies}${missing}${unread}`;
  const brokers = plural(kafka.brokers, "broker", "brokers");
  const megabytes = short((database.size_bytes ?? 0) / 1e6);
  const running = workers.items.filter(({ status }) => status === "running").length;
  const all = workers.items.length;
  const newest = database.newest_observation;
  return h(
    "div",
    { class: "stack" },
    h(
      "ul",
      { class: "health" },
      healthRow("API", { available: true }, "answers"),
      healthRow("Database", database, `${milliseconds(database)}, ${database.mode}, ${megabytes} MB`),
      healthRow("Kafka", kafka, `${milliseconds(kafka)}, ${brokers}${troubles}`, !troubles),
      healthRow("Workers", workers, `${count(running)} of ${count(all)} running`, running > 0 && running === all),
      healthRow("Polling", budget, pollingText(budget), !budget.unanswered_since),
    ),
    newest && h("p", { class: "quiet" }, "Newest observation stored ", when(newest)),
  );
}

function pollingText({ used, unanswered_since: since, unanswered_reason: reason, what_to_do: advice }) {
  if (!since) return `${count(used)} requests a minute`;
  return `Reddit has answered nothing since ${new Date(since).toLocaleString()} (${reason}): ${advice}`;
}

function healthRow(name, part, text, isWell = true) {
  const [colour, state] = !part.available ? ["bad", "away"] : isWell ? ["good", "OK"] : ["warn", "look"];
  return h(
    "li",
    {},
    h("span", { class: `chip ${colour}` }, state),
    h("strong", {}, name),
    quiet(part.available ? text : part.reason),
  );
}

const FEW_SUBREDDITS = 3;
const GAP_COLUMNS = [
  { label: "Subreddits", cell: ({ subreddits }) => subredditNames(subreddits) },
  { label: "What", cell: ({ kind }) => kind },
  { label: "Missing since", number: true, cell: ({ since }) => when(since) },
  { label: "Pages read", number: true, cell: ({ pages }) => count(pages) },
  { label: "Opened", number: true, cell: ({ opened_at }) => when(opened_at) },
];

function subredditNames(names) {
  const others = names.length - FEW_SUBREDDITS;
  const text = names.slice(0, FEW_SUBREDDITS).join(", ") + (others > 0 ? ` and ${count(others)} more` : "");
  return h("span", { title: names.join(", ") }, text);
}

function gapsTable(gaps) {
  if (!gaps.available) return unavailable(gaps);
  if (!gaps.open) return emptyState("No open gaps", "Every listing reached what was known before.");
  return table(GAP_COLUMNS, gaps.items);
}
