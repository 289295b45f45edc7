// Alerts: rules and what they ask for, where alerts go, and what was sent. Operators and admins change it here.
import { h } from "../dom.js";
import { DELIVERY_STATES, deliveriesCard } from "../parts/alert_deliveries.js";
import { rulesCard } from "../parts/alert_rules.js";
import { targetsCard } from "../parts/alert_targets.js";
import { pageHead, quiet } from "../parts/layout.js";
import { readState, valuesOf, writeState } from "../urlstate.js";

export const DEFAULTS = { rule: "", target: "", state: "" };
export const VALUES = { state: valuesOf(DELIVERY_STATES) };

/** Show the page in `root` until `signal` aborts. */
export async function mount(root, { live, signal, session }) {
  live.pause();
  const state = readState(DEFAULTS, VALUES);
  const mayChange = session.role !== "reader";
  const shared = { signal, mayChange, rules: [], targets: [] };
  const rules = rulesCard(shared, () => deliveries.named());
  const targets = targetsCard(shared, () => {
    rules.show();
    deliveries.named();
  });
  const deliveries = deliveriesCard(shared, state, () => writeState(state, DEFAULTS));
  root.append(
    pageHead("Alerts", quiet("what rules ask for, who is told, and what was sent")),
    h("div", { class: "stack" }, rules.element, targets.element, deliveries.element),
  );
  await Promise.all([rules.load(), targets.load(), deliveries.load()]);
}
