// Dead letters: why records failed, and the buttons that send them back.
import * as api from "../api.js";
import { h, setText, toast } from "../dom.js";
import { count, plural, when } from "../format.js";
import { readState, writeState } from "../urlstate.js";
import { ask } from "./dialog.js";
import { options } from "./filters.js";
import { emptyState, errorNotice } from "./states.js";

const DEFAULTS = { letters: "dead", error: "", stage: "" };
const STATES = [
  ["", "All"],
  ["dead", "Dead"],
  ["replayed", "Replayed"],
  ["dead_again", "Dead again"],
  ["resolved", "Resolved"],
];
const KINDS = { dead: "bad", replayed: "warn", dead_again: "bad", resolved: "good" };
const PAGE_SIZE = 25;
const REFRESH_MS = 5000;
const FOLLOW_MS = [500, 1500, 3000, 6000];

/** The card: {element, load}. Its filters are in the address. */
export function lettersCard({ signal, mayReplay }) {
  const state = readState(DEFAULTS);
  const body = h("div");
  const groups = h("div", { class: "letter-groups" });
  const summary = h("span", { class: "quiet" });
  const select = h(
    "select",
    { class: "input", "aria-label": "State of dead letters", onchange: () => set({ letters: select.value }) },
    options(STATES, state.letters),
  );
  const replayAll = h("button", { class: "button small", type: "button", onclick: replayMany }, "Replay all");
  const element = h(
    "section",
    { class: "card letters", "aria-labelledby": "letters-title" },
    h(
      "header",
      {},
      h("h2", { id: "letters-title" }, "Dead letters"),
      summary,
      h("div", { class: "end row" }, select, mayReplay ? replayAll : null),
    ),
    groups,
    body,
  );
  let cursor = null;
  let asked = 0;
  let answered = 0;

  function set(change) {
    Object.assign(state, change);
    writeState(state, DEFAULTS);
    cursor = null;
    load();
  }
  const wanted = () => ({ state: state.letters, error_type: state.error, stage: state.stage });

  async function load() {
    const mine = ++asked;
    try {
      const [stats, page] = await Promise.all([
        api.get("/dlq/stats", {}, signal),
        api.get("/dlq/", { ...wanted(), page_size: PAGE_SIZE, cursor }, signal),
      ]);
      if (mine === asked) show(stats, page);
    } catch (error) {
      if (!signal.aborted && mine === asked) body.replaceChildren(errorNotice(error, load));
    }
    if (mine === asked) answered = mine;
  }

  function show(stats, page) {
    const by = stats.by_state;
    setText(
      summary,
      `${count(by.dead)} dead, ${count(by.replayed)} on their way again, ${count(by.resolved)} resolved`,
    );
    replayAll.disabled = !by.dead;
    const open = stats.groups.filter((group) => group.state === "dead").slice(0, 6);
    groups.replaceChildren(
      ...open.map((group) =>
        h(
          "button",
          {
            class: `chip ${state.error === group.error_type && state.stage === group.stage ? "accent" : ""}`,
            type: "button",
            "aria-pressed": String(state.error === group.error_type && state.stage === group.stage),
            onclick: () =>
              set(
                state.error === group.error_type && state.stage === group.stage
                  ? { error: "", stage: "" }
                  : { error: group.error_type, stage: group.stage },
              ),
          },
          `${group.stage}: ${group.error_type}`,
          h("strong", {}, count(group.letters)),
        ),
      ),
    );
    if (!page.items.length) {
      body.replaceChildren(
        state.letters === "dead"
          ? emptyState("No dead letters", "Every record went through, or was sent back and did.")
          : emptyState("None in this state", "Choose another state."),
      );
      return;
    }
    const focused = document.activeElement?.dataset?.focus;
    body.replaceChildren(
      h("ul", { class: "letter-list" }, page.items.map(letter)),
      cursor || page.next
        ? h(
            "div",
            { class: "below" },
            cursor ? h("button", { class: "button small", type: "button", onclick: () => turn(null) }, "Newest") : null,
            page.next
              ? h("button", { class: "button small", type: "button", onclick: () => turn(page.next) }, "Older")
              : null,
          )
        : "",
    );
    if (focused) body.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  function turn(to) {
    cursor = to;
    load();
  }

  function letter(item) {
    const open = item.state === "dead";
    return h(
      "li",
      { "data-letter": item.id },
      h(
        "div",
        { class: "letter-head" },
        h("span", { class: `chip ${KINDS[item.state]}` }, item.state.replace("_", " ")),
        h("strong", {}, item.error_type),
        h("span", { class: "quiet" }, `${item.stage}, attempt ${count(item.attempt)}`),
        when(item.failed_at),
        mayReplay && open
          ? h(
              "span",
              { class: "end row" },
              h(
                "button",
                {
                  class: "button small",
                  type: "button",
                  disabled: !item.whole,
                  title: item.whole ? "" : "It was not kept whole, so it cannot be sent back",
                  "data-focus": `replay ${item.id}`,
                  "aria-label": `Replay letter ${item.id}`,
                  onclick: (event) => replayOne(event, item),
                },
                "Replay",
              ),
              h(
                "button",
                {
                  class: "button small plain",
                  type: "button",
                  "data-focus": `discard ${item.id}`,
                  "aria-label": `Discard letter ${item.id}`,
                  onclick: () => discard(item),
                },
                "Discard",
              ),
            )
          : null,
      ),
      h("p", { class: "letter-error" }, item.error),
      h(
        "p",
        { class: "quiet mono" },
        `${item.topic}/${item.partition}@${item.offset}`,
        item.worker ? ` · ${item.worker}` : "",
        item.resolved_by ? ` · by ${item.resolved_by}: ${item.reason}` : "",
      ),
      h(
        "details",
        {},
        h("summary", {}, `Record${item.value ? `, ${plural(item.value.size, "byte", "bytes")}` : ""}`),
        h(
          "pre",
          { tabindex: "0", role: "region", "aria-label": `Record of letter ${item.id}` },
          item.value ? item.value.content + (item.value.cut ? " …" : "") : "no value",
        ),
      ),
    );
  }

  async function replayOne(event, item) {
    event.currentTarget.disabled = true;
    try {
      await api.post(`/dlq/replay/${item.id}`, {});
      toast(`Letter ${item.id} is on its way again.`);
    } catch (error) {
      toast(`${error.title}: ${error.detail}`);
    }
    follow();
  }

  async function replayMany() {
    const filter = { ...(state.error && { error_type: state.error }), ...(state.stage && { stage: state.stage }) };
    const what = state.error ? `all dead letters “${state.stage}: ${state.error}”` : "all dead letters";
    const done = await ask({
      title: `Replay ${what}?`,
      confirm: "Replay",
      fields: h(
        "p",
        {},
        "Their original records are sent back to their topics, the oldest first. Records that fail again become dead letters anew, with one attempt more.",
      ),
      act: () => api.post("/dlq/replay", { filter }),
    });
    if (!done) return;
    toast(`${plural(done.sent, "letter is", "letters are")} on the way again.`);
    follow();
  }

  async function discard(item) {
    const reason = h("input", { name: "reason", required: true, maxlength: 500 });
    const done = await ask({
      title: `Discard letter ${item.id}?`,
      confirm: "Discard",
      danger: true,
      fields: [
        h("p", {}, "It will not be replayed. The reason and your name stay with it."),
        h("label", { class: "field" }, "Reason", reason),
      ],
      act: () => api.post(`/dlq/resolve/${item.id}`, { reason: reason.value }),
    });
    if (!done) return;
    toast(`Letter ${item.id} is discarded.`);
    load();
  }

  // What becomes of a replay is known within seconds: look soon, then less often.
  function follow() {
    for (const wait of FOLLOW_MS) setTimeout(() => !signal.aborted && load(), wait);
  }

  // While an answer is awaited as well: one that is slower than the timer would always come too late.
  const busy = () =>
    asked !== answered ||
    document.hidden ||
    document.querySelector("dialog[open]") ||
    body.querySelector("details[open]");
  const timer = setInterval(() => !busy() && load(), REFRESH_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  return { element, load };
}
