// Messages of alerts: what was sent where, what came back, and a button that sends one again.
import * as api from "../api.js";
import { h, outward, replaceKeepingFocus, toast } from "../dom.js";
import { plural, when } from "../format.js";
import { Latest } from "../latest.js";
import { isDialogOpen } from "./dialog.js";
import { button, options } from "./form.js";
import { card } from "./layout.js";
import { emptyState, errorNotice } from "./states.js";

const PATH = "/api/alerts/deliveries/";
export const DELIVERY_STATES = [
  ["", "Any state"],
  ["waiting", "Waiting"],
  ["done", "Done"],
  ["given_up", "Given up"],
];
const COLOURS = { waiting: "warn", done: "good", given_up: "bad" };
const PAGE_SIZE = 20;
const REFRESH_MS = 10_000;

/**
 * The card of deliveries: {element, load(), named()}. `state` has its filters, and `keep()` puts them into the address.
 * `named` shows the names of the rules and targets of `shared` as choices.
 */
export function deliveriesCard(shared, state, keep) {
  const { signal, mayChange } = shared;
  const loads = new Latest(signal);
  const body = h("div");
  // Of the page that is shown; null for the newest.
  let cursor = null;
  const select = (label, name) => {
    const onchange = ({ target }) => set({ [name]: target.value });
    return h("select", { class: "input", "aria-label": label, onchange });
  };
  const [rule, target, status] = [
    select("Rule of deliveries", "rule"),
    select("Target of deliveries", "target"),
    select("State of deliveries", "state"),
  ];
  status.append(...options(DELIVERY_STATES, state.state));
  const element = card({ title: "Deliveries", end: [rule, target, status], region: "deliveries" }, body);
  element.classList.add("letters");
  named();

  function named() {
    const fill = (element, all, items, chosen) => {
      const known = items.map(({ id, name }) => [id, name]);
      // An address may name what is not loaded yet, or was removed.
      const missing = chosen && !items.some(({ id }) => id === chosen) ? [[chosen, "…"]] : [];
      element.replaceChildren(...options([["", all], ...known, ...missing], chosen));
    };
    fill(rule, "All rules", shared.rules, state.rule);
    fill(target, "All targets", shared.targets, state.target);
  }

  function set(change) {
    Object.assign(state, change);
    keep();
    turnTo(null);
  }

  function turnTo(page) {
    cursor = page;
    return load();
  }

  const load = () =>
    loads.load({
      ask: () =>
        api.get(
          PATH,
          { rule_id: state.rule, target_id: state.target, state: state.state, page_size: PAGE_SIZE, cursor },
          signal,
        ),
      show({ items, next }) {
        if (!items.length) {
          body.replaceChildren(
            emptyState("No deliveries", "What rules meet goes to their targets, and is listed here."),
          );
          return;
        }
        const newest = cursor && button("Newest", "small", () => turnTo(null), { "data-focus": "newest" });
        const older = next && button("Older", "small", () => turnTo(next), { "data-focus": "older" });
        const list = h("ul", { class: "letter-list" }, items.map(delivery));
        replaceKeepingFocus(body, list, newest || older ? h("div", { class: "below" }, newest, older) : "");
      },
      fail: (error) => body.replaceChildren(errorNotice(error, load)),
    });

  function delivery(item) {
    const { alert } = item;
    const again = button("Send again", "small", (event) => sendAgain(event, item), {
      "data-focus": `again ${item.id}`,
      "aria-label": `Send again to ${item.target}: ${alert.title ?? alert.sentence}`,
    });
    return h(
      "li",
      { "data-delivery": item.id },
      h(
        "div",
        { class: "letter-head" },
        h("span", { class: `chip ${COLOURS[item.state]}` }, item.state.replace("_", " ")),
        h("strong", {}, outward(alert.url, alert.title ?? item.subject)),
        when(item.first_at),
        mayChange && item.state !== "waiting" && h("span", { class: "end row" }, again),
      ),
      h("p", { class: "letter-error" }, alert.sentence),
      h("p", { class: "quiet" }, `${item.rule} → ${item.target}`, item.state === "waiting" && next(item)),
      item.attempts.length > 0 && attempts(item),
    );
  }

  async function sendAgain(event, item) {
    event.currentTarget.disabled = true;
    try {
      await api.post(`${PATH}${item.id}/redeliver/`);
      toast("It waits, and is sent in a moment.");
    } catch (error) {
      toast(`${error.title}: ${error.detail}`);
    }
    await load();
  }

  loads.repeat(load, REFRESH_MS, () => isDialogOpen() || body.querySelector("details[open]"));
  return { element, load, named };
}

const next = ({ next_at }) => h("span", {}, " · next try ", when(next_at));

/** What each try brought. Answers are texts of strangers. */
function attempts({ id, attempts }) {
  const last = attempts.at(-1);
  const said = ({ status, reason }) => reason || `answered ${status}`;
  const lines = attempts.map((one) =>
    [`${one.at}  ${one.verdict}  ${one.seconds.toFixed(2)} s  ${said(one)}`, one.answer].filter(Boolean).join("\n"),
  );
  return h(
    "details",
    {},
    h("summary", {}, `${plural(attempts.length, "try", "tries")}, the last: ${said(last)}`),
    h("pre", { tabindex: "0", role: "region", "aria-label": `Tries of delivery ${id}` }, lines.join("\n\n")),
  );
}
