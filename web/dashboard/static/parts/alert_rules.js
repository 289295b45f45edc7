// Rules of alerts: what they ask for, who is told, and when they last met something.
import * as api from "../api.js";
import { h, outward, replaceKeepingFocus, setText, toast } from "../dom.js";
import { plural, when } from "../format.js";
import { Latest } from "../latest.js";
import { queryField } from "./alert_query.js";
import { ask, isDialogOpen } from "./dialog.js";
import { button, field } from "./form.js";
import { card, quiet } from "./layout.js";
import { emptyState, errorNotice } from "./states.js";

const PATH = "/api/alerts/rules/";
const TARGETS = "/api/alerts/targets/";
const MATCHES = "/api/alerts/matches/";
const PAGE_SIZE = 50;
const MATCHES_SHOWN = 10;
const REFRESH_MS = 15_000;

/**
 * The card of rules: {element, load(), show()}. It keeps them in `shared.rules` and calls `loaded` then. The names of
 * targets are those of `shared.targets`.
 */
export function rulesCard(shared, loaded) {
  const { signal, mayChange } = shared;
  const loads = new Latest(signal);
  const summary = quiet();
  const list = h("ul", { class: "letter-list" });
  const below = h("div");
  const element = card(
    {
      title: "Rules",
      beside: summary,
      end: mayChange && [button("New rule", "small primary", () => edit(), { "data-focus": "new rule" })],
      region: "alert-rules",
    },
    list,
    below,
  );

  // Of the page that is shown; null for the newest.
  let cursor = null;
  let next = null;

  const load = () =>
    loads.load({
      ask: () => api.get(PATH, { page_size: PAGE_SIZE, cursor }, signal),
      show(page) {
        shared.rules = page.items;
        next = page.next;
        loaded();
        show();
      },
      fail: (error) => below.replaceChildren(errorNotice(error, load)),
    });

  function turnTo(page) {
    cursor = page;
    return load();
  }

  function show() {
    const { rules } = shared;
    const paused = rules.filter((rule) => rule.paused_at).length;
    const shown = `${plural(rules.length, "rule", "rules")}${cursor || next ? " shown" : ""}`;
    setText(summary, shown + (paused ? `, ${paused} paused` : ""));
    replaceKeepingFocus(list, ...rules.map(item));
    const advice = mayChange ? "Make a rule, and see first what it would have met." : "An operator makes rules.";
    const none = !rules.length && !cursor && emptyState("No rules", advice);
    const newest = cursor && button("Newest", "small", () => turnTo(null), { "data-focus": "newest rules" });
    const older = next && button("Older", "small", () => turnTo(next), { "data-focus": "older rules" });
    replaceKeepingFocus(below, none || "", newest || older ? h("div", { class: "below" }, newest, older) : "");
  }

  function item(rule) {
    const names = rule.target_ids.map((id) => shared.targets.find((target) => target.id === id)?.name ?? "…");
    return h(
      "li",
      { "data-rule": rule.id },
      h(
        "div",
        { class: "letter-head" },
        h("span", { class: `chip ${rule.paused_at ? "" : "good"}` }, rule.paused_at ? "paused" : "on"),
        h("strong", {}, rule.name),
        quiet("last met ", rule.last_match_at ? when(rule.last_match_at) : "never"),
        mayChange && buttons(rule),
      ),
      h("p", { class: "mono letter-error" }, rule.query),
      h(
        "p",
        { class: "quiet" },
        names.length ? `tells ${names.join(", ")}` : "tells nobody yet",
        ` · by ${rule.created_by}`,
      ),
      rule.last_match_at && matches(rule),
    );
  }

  /** What a rule met last, loaded when the reader asks for it. */
  function matches(rule) {
    const found = h("div", { role: "status" });
    const show = ({ items }) => found.replaceChildren(h("ol", { class: "preview-list" }, items.map(match)));
    async function open({ target }) {
      if (!target.open) return;
      try {
        show(await api.get(MATCHES, { rule_id: rule.id, page_size: MATCHES_SHOWN }, signal));
      } catch (error) {
        if (!signal.aborted) found.replaceChildren(errorNotice(error));
      }
    }
    return h("details", { ontoggle: open }, h("summary", {}, `What ${rule.name} met last`), found);
  }

  function buttons(rule) {
    const act = rule.paused_at ? "Resume" : "Pause";
    const named = (verb) => ({ "data-focus": `${verb} ${rule.id}`, "aria-label": `${verb} ${rule.name}` });
    return h(
      "span",
      { class: "end row" },
      button(act, "small", () => change(rule, { paused: !rule.paused_at }), {
        ...named(act),
        "data-focus": `pause ${rule.id}`,
      }),
      button("Edit", "small", () => edit(rule), named("Edit")),
      button("Remove", "small plain", () => remove(rule), named("Remove")),
    );
  }

  async function change(rule, body) {
    try {
      await api.patch(`${PATH}${rule.id}/`, body);
    } catch (error) {
      toast(`${error.title}: ${error.detail}`);
    }
    await load();
  }

  /** Make a rule, or change this one, with a preview of its query. */
  async function edit(rule = null) {
    let targets;
    try {
      targets = (await api.get(TARGETS, {}, signal)).items;
    } catch (error) {
      if (!signal.aborted) toast(`${error.title}: ${error.detail}`);
      return;
    }
    const name = h("input", { name: "name", required: true, maxlength: 100, value: rule?.name ?? "" });
    const query = queryField(rule?.query ?? "", signal);
    const boxes = targets.map((target) =>
      h("input", { type: "checkbox", value: target.id, checked: rule?.target_ids.includes(target.id) ?? false }),
    );
    const told = targets.map((target, place) =>
      h("label", { class: "check" }, boxes[place], `${target.name} (${target.shape})`),
    );
    const none = quiet("There are no targets yet: make one below, and choose it then.");
    const done = await ask({
      title: rule ? `Edit ${rule.name}` : "New rule",
      confirm: "Save",
      fields: [
        field("Name", name),
        query.element,
        h("fieldset", { class: "checks" }, h("legend", {}, "Who is told"), told.length ? told : none),
        quiet("A rule tells news: what meets it already is not told."),
      ],
      act: () =>
        query.marking(() => {
          const body = {
            name: name.value,
            query: query.value(),
            target_ids: boxes.filter((box) => box.checked).map((box) => box.value),
          };
          return rule ? api.patch(`${PATH}${rule.id}/`, body) : api.post(PATH, body);
        }),
    });
    if (!done) return;
    toast(`${done.name} is saved.`);
    await load();
  }

  async function remove(rule) {
    const done = await ask({
      title: `Remove ${rule.name}?`,
      confirm: "Remove",
      danger: true,
      fields: h("p", {}, "What it met, and its deliveries, go with it."),
      async act() {
        await api.remove(`${PATH}${rule.id}/`);
        return true;
      },
    });
    if (!done) return;
    toast(`${rule.name} is removed.`);
    await load();
  }

  element.classList.add("letters");
  loads.repeat(load, REFRESH_MS, () => isDialogOpen() || list.querySelector("details[open]"));
  return { element, load, show };
}

const match = ({ alert, subject, matched_at }) =>
  h("li", {}, outward(alert.url, alert.title ?? subject), quiet(" ", when(matched_at), ` ${alert.sentence}`));
