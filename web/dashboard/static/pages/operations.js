// How the installation is: lag, throughput, budget, workers, dead letters, health.
import * as api from "../api.js";
import { h, scrollRegion, setText } from "../dom.js";
import { count, decimal, duration, plural, short, when } from "../format.js";
import { lettersCard } from "../parts/letters.js";
import { emptyState, errorNotice } from "../parts/states.js";
import { sparkline } from "../spark.js";

const REFRESH_MS = 3000;
const MOST_POINTS = 200;
const STATES = { running: "good", recovering: "warn", silent: "bad" };

export async function mount(root, { signal, session, live }) {
  live.filter({ ids: ["0"] }); // nothing here is live: the stream need not send what nobody sees
  const fresh = h("span", { class: "quiet" });
  const failed = h("div");
  const figures = figureStrip();
  const [workers, health, gaps] = [scrollRegion("Workers"), h("div", { class: "body" }), scrollRegion("Open gaps")];
  const letters = lettersCard({ signal, mayReplay: session.role !== "reader" });
  const card = (title, note, ...content) =>
    h(
      "section",
      { class: "card" },
      h("header", {}, h("h2", {}, title), note && h("span", { class: "quiet" }, note)),
      content,
    );
  root.append(
    h("div", { class: "head" }, h("h1", {}, "Operations"), h("div", { class: "grow" }, fresh)),
    failed,
    figures.element,
    h(
      "div",
      { class: "operations-grid" },
      h("div", { class: "stack" }, card("Workers", "heartbeat every 5 s", workers), letters.element),
      h(
        "div",
        { class: "stack" },
        card("Health", null, health),
        card("Open gaps", "stretches of listings not proven complete yet", gaps),
      ),
    ),
  );

  async function load() {
    try {
      const now = await api.get("/api/operations/", {}, signal);
      failed.replaceChildren();
      fresh.replaceChildren("as of ", when(now.computed_at));
      figures.show(now);
      workers.replaceChildren(workersTable(now.workers));
      health.replaceChildren(healthList(now));
      gaps.replaceChildren(gapsTable(now.gaps));
    } catch (error) {
      if (!signal.aborted) failed.replaceChildren(errorNotice(error, load));
    }
  }

  const timer = setInterval(() => !document.hidden && load(), REFRESH_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  await Promise.all([load(), letters.load()]);
}

const total = (numbers) => Object.values(numbers ?? {}).reduce((sum, value) => sum + value, 0);
const shortTopic = (topic) => topic.split(".").slice(-2).join(".");

function figureStrip() {
  const make = (label) => {
    const spark = sparkline(`${label} since this page was opened`);
    const value = h("dd");
    const note = h("dd", { class: "note" });
    return {
      value,
      note,
      spark,
      points: [],
      element: h(
        "div",
        { class: "figure" },
        h("dt", {}, label),
        value,
        note,
        h("dd", { class: "spark-row" }, spark.element),
      ),
    };
  };
  const [lag, rate, budget, letters, visible] = [
    "Lag",
    "Throughput",
    "API budget",
    "Dead letters",
    "Until visible",
  ].map(make);
  const say = (figure, part, text, note, number) => {
    setText(figure.value, part.available ? text : "–");
    setText(figure.note, part.available ? note : part.reason);
    if (!part.available || !Number.isFinite(number)) return;
    figure.points.push([Date.now(), number]);
    if (figure.points.length > MOST_POINTS) figure.points.shift();
    figure.spark.draw(figure.points);
  };
  return {
    element: h(
      "dl",
      { class: "figures" },
      [lag, rate, budget, letters, visible].map(({ element }) => element),
    ),
    show({ flow, budget: spent, dead_letters: dead }) {
      say(
        lag,
        flow,
        count(total(flow.lag)),
        `${
          Object.entries(flow.lag)
            .filter(([, records]) => records > 0)
            .sort()
            .map(([topic, records]) => `${shortTopic(topic)} ${short(records)}`)
            .join(", ") || "records not committed yet"
        }${flow.complete ? "" : " (not all workers answer)"}`,
        total(flow.lag),
      );
      const rates = flow.records_per_second;
      say(
        rate,
        flow,
        rates ? `${decimal(rates.enrich ?? 0)}/s` : "…",
        rates ? `enriched; ${decimal(rates.sink ?? 0)}/s stored` : "known after the second look",
        rates?.enrich,
      );
      say(
        budget,
        spent,
        `${count(spent.used)} of ${count(spent.limit)}`,
        `requests in the last minute, by ${spent.poller}`,
        spent.used,
      );
      say(
        letters,
        dead,
        count(dead.counts.dead ?? 0),
        dead.counts.replayed
          ? `${count(dead.counts.replayed)} on their way again`
          : `${count(dead.counts.resolved ?? 0)} resolved`,
        dead.counts.dead ?? 0,
      );
      say(
        visible,
        flow,
        duration(flow.visible_seconds ?? Number.NaN),
        "from publication to a stored row, mean",
        flow.visible_seconds,
      );
    },
  };
}

function unavailable(part) {
  return h("div", { class: "notice warn inside" }, h("strong", {}, "Not available"), part.reason);
}

function workersTable(workers) {
  if (!workers.available) return unavailable(workers);
  if (!workers.items.length) return emptyState("No worker reports", "Start one: faust -A signalflow worker");
  return h(
    "table",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["Worker", "State", "Heartbeat"].map((text) => h("th", { scope: "col" }, text)),
        ["Lag", "Enriched", "Stored", "Up since"].map((text) => h("th", { scope: "col", class: "number" }, text)),
      ),
    ),
    h("tbody", {}, workers.items.map(workerRow)),
  );
}

function workerRow(worker) {
  const { metrics } = worker;
  const rate = (agent) => (metrics.records_per_second ? `${decimal(metrics.records_per_second[agent] ?? 0)}/s` : "…");
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h(
        "span",
        { class: "chips" },
        worker.name,
        worker.is_poller ? h("span", { class: "chip accent" }, "polls") : null,
        worker.is_leader ? h("span", { class: "chip" }, "leader") : null,
      ),
    ),
    h("td", {}, h("span", { class: `chip ${STATES[worker.status]}` }, worker.status)),
    h("td", {}, when(worker.heartbeat_at)),
    metrics.available
      ? [count(total(metrics.lag)), rate("enrich"), rate("sink")].map((text) => h("td", { class: "number" }, text))
      : h("td", { colspan: 3, class: "quiet" }, metrics.reason),
    h("td", { class: "number" }, when(worker.started_at)),
  );
}

function healthList({ database, kafka, workers, budget }) {
  const ms = (part) => `${decimal(part.milliseconds)} ms`;
  const copies = kafka.replicas_out_of_sync ? `, ${plural(kafka.replicas_out_of_sync, "copy", "copies")} behind` : "";
  const missing = kafka.topics_missing?.length ? `, missing: ${kafka.topics_missing.join(", ")}` : "";
  const ready = workers.items.filter(({ status }) => status === "running").length;
  const rows = [
    ["API", { available: true }, "answers", true],
    ["Database", database, `${ms(database)}, ${database.mode}, ${short((database.size_bytes ?? 0) / 1e6)} MB`, true],
    [
      "Kafka",
      kafka,
      `${ms(kafka)}, ${plural(kafka.brokers, "broker", "brokers")}${copies}${missing}`,
      !copies && !missing,
    ],
    [
      "Workers",
      workers,
      `${count(ready)} of ${count(workers.items.length)} running`,
      ready > 0 && ready === workers.items.length,
    ],
    ["Polling", budget, `${count(budget.used)} requests a minute`, true],
  ];
  const newest = database.newest_observation
    ? h("p", { class: "quiet" }, "Newest observation stored ", when(database.newest_observation))
    : null;
  return h(
    "div",
    { class: "stack" },
    h(
      "ul",
      { class: "health" },
      rows.map(([name, part, text, well]) =>
        h(
          "li",
          {},
          h(
            "span",
            { class: `chip ${part.available ? (well ? "good" : "warn") : "bad"}` },
            part.available ? (well ? "OK" : "look") : "away",
          ),
          h("strong", {}, name),
          h("span", { class: "quiet" }, part.available ? text : part.reason),
        ),
      ),
    ),
    newest,
  );
}

function gapsTable(gaps) {
  if (!gaps.available) return unavailable(gaps);
  if (!gaps.open) return emptyState("No open gaps", "Every listing reached what was known before.");
  return h(
    "table",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Subreddits"),
        ["Missing since", "Pages read", "Opened"].map((text) => h("th", { scope: "col", class: "number" }, text)),
      ),
    ),
    h(
      "tbody",
      {},
      gaps.items.map((gap) =>
        h(
          "tr",
          {},
          h(
            "th",
            { scope: "row", title: gap.subreddits.join(", ") },
            gap.subreddits.slice(0, 3).join(", "),
            gap.subreddits.length > 3 ? ` and ${count(gap.subreddits.length - 3)} more` : "",
          ),
          h("td", { class: "number" }, when(gap.since)),
          h("td", { class: "number" }, count(gap.pages)),
          h("td", { class: "number" }, when(gap.opened_at)),
        ),
      ),
    ),
  );
}
