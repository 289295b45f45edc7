// Dead letters: why records failed, and buttons that replay or discard them.
import * as api from "../api.js";
import { h, replaceKeepingFocus, setText, toast } from "../dom.js";
import { count, plural, when } from "../format.js";
import { Latest } from "../latest.js";
import { valuesOf } from "../urlstate.js";
import { ask, isDialogOpen } from "./dialog.js";
import { button, field, options } from "./form.js";
import { card, quiet } from "./layout.js";
import { emptyState, errorNotice } from "./states.js";

export const DEFAULTS = { letters: "dead", error: "", stage: "" };
const STATES = [
  ["", "All"],
  ["dead", "Dead"],
  ["replayed", "Replayed"],
  ["dead_again", "Dead again"],
  ["resolved", "Resolved"],
];
export const VALUES = { letters: valuesOf(STATES) };
const STATE_COLOURS = { dead: "bad", replayed: "warn", dead_again: "bad", resolved: "good" };
const MOST_GROUPS = 6;
const PAGE_SIZE = 25;
const REFRESH_MS = 5000;
// What becomes of a replayed letter is known within seconds, so the list is loaded again soon, and then less often.
const AFTER_REPLAY_MS = [500, 1500, 3000, 6000];

/**
 * The card of dead letters: {element, load()}. `state` has its filters; `keep()` puts them into the address.
 * `mayReplay` brings the buttons.
 */
export function lettersCard({ signal, mayReplay, state, keep }) {
  const loads = new Latest(signal);
  // Of the page that is shown; null for the newest letters.
  let cursor = null;
  const body = h("div");
  const groups = h("div", { class: "letter-groups" });
  const summary = quiet();
  const select = h(
    "select",
    { class: "input", "aria-label": "State of dead letters", onchange: () => set({ letters: select.value }) },
    options(STATES, state.letters),
  );
  const replayAll = button("Replay all", "small", replayMany);
  // Letters are discarded only by a group: nobody means all letters of all causes.
  const discardAll = button("Discard these", "small plain", discardMany, { disabled: true });
  const element = card(
    {
      title: "Dead letters",
      beside: summary,
      end: [select, mayReplay && replayAll, mayReplay && discardAll],
      region: "letters",
    },
    groups,
    body,
  );
  element.classList.add("letters");

  function set(change) {
    Object.assign(state, change);
    keep();
    turnTo(null);
  }

  function turnTo(page) {
    cursor = page;
    load();
  }

  function load() {
    const wanted = { state: state.letters, error_type: state.error, stage: state.stage, page_size: PAGE_SIZE, cursor };
    return loads.load({
      ask: () => Promise.all([api.get("/dlq/stats", {}, signal), api.get("/dlq/", wanted, signal)]),
      show([stats, page]) {
        showStats(stats);
        showPage(page);
      },
      fail: (error) => body.replaceChildren(errorNotice(error, load)),
    });
  }

  function showStats({ by_state: number, groups: all }) {
    const onTheirWay = `${count(number.replayed)} on their way again`;
    setText(summary, `${count(number.dead)} dead, ${onTheirWay}, ${count(number.resolved)} resolved`);
    replayAll.disabled = !number.dead;
    discardAll.disabled = !number.dead || !state.error;
    const dead = all.filter((group) => group.state === "dead");
    groups.replaceChildren(...dead.slice(0, MOST_GROUPS).map(groupChip));
  }

  /** A button that shows only the letters of a group, or all letters again. */
  function groupChip({ stage, error_type: error, letters }) {
    const isChosen = state.error === error && state.stage === stage;
    return h(
      "button",
      {
        class: `chip ${isChosen ? "accent" : ""}`,
        type: "button",
        "aria-pressed": String(isChosen),
        onclick: () => set(isChosen ? { error: "", stage: "" } : { error, stage }),
      },
      `${stage}: ${error}`,
      h("strong", {}, count(letters)),
    );
  }

  function showPage({ items, next }) {
    if (!items.length) {
      body.replaceChildren(
        state.letters === "dead"
          ? emptyState("No dead letters", "Every record went through, or was sent back and did.")
          : emptyState("None in this state", "Choose another state."),
      );
      return;
    }
    const newest = cursor && button("Newest", "small", () => turnTo(null));
    const older = next && button("Older", "small", () => turnTo(next));
    const list = h("ul", { class: "letter-list" }, items.map(letter));
    replaceKeepingFocus(body, list, newest || older ? h("div", { class: "below" }, newest, older) : "");
  }

  function letter(item) {
    const place = `${item.topic}/${item.partition}@${item.offset}`;
    const head = h(
      "div",
      { class: "letter-head" },
      h("span", { class: `chip ${STATE_COLOURS[item.state]}` }, item.state.replace("_", " ")),
      h("strong", {}, item.error_type),
      quiet(`${item.stage}, attempt ${count(item.attempt)}`),
      when(item.failed_at),
      mayReplay && item.state === "dead" && letterButtons(item),
    );
    return h(
      "li",
      { "data-letter": item.id },
      head,
      h("p", { class: "letter-error" }, item.error),
      h(
        "p",
        { class: "quiet mono" },
        place,
        item.worker && ` · ${item.worker}`,
        item.resolved_by && ` · by ${item.resolved_by}: ${item.reason}`,
      ),
      record(item),
    );
  }

  function letterButtons(item) {
    const replay = button("Replay", "small", (event) => replayOne(event, item), {
      disabled: !item.whole,
      title: item.whole ? "" : "It was not kept whole, so it cannot be sent back",
      "data-focus": `replay ${item.id}`,
      "aria-label": `Replay letter ${item.id}`,
    });
    const discard = button("Discard", "small plain", () => discardOne(item), {
      "data-focus": `discard ${item.id}`,
      "aria-label": `Discard letter ${item.id}`,
    });
    return h("span", { class: "end row" }, replay, discard);
  }

  async function replayOne(event, item) {
    event.currentTarget.disabled = true;
    try {
      await api.post(`/dlq/replay/${item.id}`, {});
      toast(`Letter ${item.id} is on its way again.`);
    } catch (error) {
      toast(`${error.title}: ${error.detail}`);
    }
    loadAfterReplay();
  }

  function chosenGroup() {
    return { ...(state.error && { error_type: state.error }), ...(state.stage && { stage: state.stage }) };
  }

  async function discardMany() {
    const filter = chosenGroup();
    let chosen;
    try {
      chosen = await api.post("/dlq/resolve", { filter, dry_run: true });
    } catch (error) {
      toast(`${error.title}: ${error.detail}`);
      return;
    }
    const reason = h("input", { name: "reason", required: true, maxlength: 500 });
    const letters = plural(chosen.ids.length, "dead letter", "dead letters");
    const done = await ask({
      title: `Discard ${letters} “${state.stage}: ${state.error}”?`,
      confirm: "Discard",
      danger: true,
      fields: [h("p", {}, DISCARD_EXPLAINED), field("Reason", reason)],
      act: () => api.post("/dlq/resolve", { filter, reason: reason.value }),
    });
    if (!done) return;
    toast(`${plural(done.resolved, "letter is", "letters are")} discarded.`);
    load();
  }

  async function replayMany() {
    const filter = chosenGroup();
    const what = state.error ? `all dead letters “${state.stage}: ${state.error}”` : "all dead letters";
    const done = await ask({
      title: `Replay ${what}?`,
      confirm: "Replay",
      fields: h("p", {}, REPLAY_EXPLAINED),
      act: () => api.post("/dlq/replay", { filter }),
    });
    if (!done) return;
    toast(`${plural(done.sent, "letter is", "letters are")} on the way again.`);
    loadAfterReplay();
  }

  async function discardOne(item) {
    const reason = h("input", { name: "reason", required: true, maxlength: 500 });
    const explained = h("p", {}, "It will not be replayed. The reason and your name stay with it.");
    const done = await ask({
      title: `Discard letter ${item.id}?`,
      confirm: "Discard",
      danger: true,
      fields: [explained, field("Reason", reason)],
      act: () => api.post(`/dlq/resolve/${item.id}`, { reason: reason.value }),
    });
    if (!done) return;
    toast(`Letter ${item.id} is discarded.`);
    load();
  }

  function loadAfterReplay() {
    for (const wait of AFTER_REPLAY_MS) setTimeout(() => !signal.aborted && load(), wait);
  }

  loads.repeat(load, REFRESH_MS, () => isDialogOpen() || body.querySelector("details[open]"));
  return { element, load };
}

const DISCARD_EXPLAINED = "None of them will be replayed. The reason and your name stay with each.";
const REPLAY_EXPLAINED =
  "Their original records are sent back to their topics, the oldest first. " +
  "Records that fail again become dead letters again, with one attempt more.";

/** The bytes of a letter's record, as text; a long record is cut. */
function record({ id, value }) {
  const text = value ? value.content + (value.cut ? " …" : "") : "no value";
  return h(
    "details",
    {},
    h("summary", {}, value ? `Record, ${plural(value.size, "byte", "bytes")}` : "Record"),
    h("pre", { tabindex: "0", role: "region", "aria-label": `Record of letter ${id}` }, text),
  );
}
