// Targets of alerts: where they go, whether they are sent there, and a test.
import * as api from "../api.js";
import { h, replaceKeepingFocus, setText, toast } from "../dom.js";
import { plural, when } from "../format.js";
import { Latest } from "../latest.js";
import { ask, isDialogOpen } from "./dialog.js";
import { button, field, options } from "./form.js";
import { card, quiet } from "./layout.js";
import { emptyState, errorNotice } from "./states.js";

const PATH = "/api/alerts/targets/";
const SHAPES = [
  ["json", "Webhook (JSON, signed)"],
  ["slack", "Slack"],
  ["discord", "Discord"],
  ["mail", "E-mail"],
  ["feed", "Feed (Atom)"],
];
const REFRESH_MS = 15_000;

/** The card of targets: {element, load()}. It keeps them in `shared.targets` and calls `loaded` then. */
export function targetsCard(shared, loaded) {
  const { signal, mayChange } = shared;
  const loads = new Latest(signal);
  const summary = quiet();
  const list = h("ul", { class: "letter-list" });
  const below = h("div");
  // What a test brought, by the id of its target.
  const tried = new Map();
  const element = card(
    {
      title: "Targets",
      beside: summary,
      end: mayChange && [button("New target", "small", () => edit(), { "data-focus": "new target" })],
      region: "alert-targets",
    },
    list,
    below,
  );

  const load = () =>
    loads.load({
      ask: () => api.get(PATH, {}, signal),
      show({ items }) {
        shared.targets = items;
        show();
        loaded();
      },
      fail: (error) => below.replaceChildren(errorNotice(error, load)),
    });

  function show() {
    setText(summary, plural(shared.targets.length, "target", "targets"));
    replaceKeepingFocus(list, ...shared.targets.map(item));
    const advice = mayChange ? "Make one, send a test, and choose it in a rule." : "An operator makes targets.";
    below.replaceChildren(...(shared.targets.length ? [] : [emptyState("No targets", advice)]));
  }

  function item(target) {
    const shape = SHAPES.find(([value]) => value === target.shape)[1];
    const digest = target.shape === "mail" && `, a digest every ${plural(target.digest_minutes, "minute", "minutes")}`;
    return h(
      "li",
      { "data-target": target.id },
      h(
        "div",
        { class: "letter-head" },
        h("span", { class: `chip ${target.disabled_at ? "bad" : "good"}` }, target.disabled_at ? "disabled" : "on"),
        h("strong", {}, target.name),
        quiet(shape, digest, target.place && ` · ${target.place}`, ` · ${plural(target.rules, "rule", "rules")}`),
        mayChange && buttons(target),
      ),
      target.disabled_at &&
        h("p", { class: "letter-error" }, "Disabled ", when(target.disabled_at), `: ${target.disabled_because ?? ""}`),
      target.secret_before_until &&
        Date.parse(target.secret_before_until) > Date.now() &&
        h("p", { class: "quiet" }, "The secret of before signs too until ", when(target.secret_before_until)),
      h("p", { role: "status" }, tried.get(target.id)),
    );
  }

  function buttons(target) {
    const named = (verb) => ({ "data-focus": `${verb} ${target.id}`, "aria-label": `${verb} ${target.name}` });
    const hasSecret = target.shape === "json" || target.shape === "feed";
    return h(
      "span",
      { class: "end row" },
      target.disabled_at && button("Enable", "small", () => enable(target), named("Enable")),
      target.shape !== "feed" && button("Test", "small", () => test(target), named("Test")),
      button("Edit", "small", () => edit(target), named("Edit")),
      hasSecret && button("New secret", "small", () => rotate(target), named("New secret of")),
      button("Remove", "small plain", () => remove(target), named("Remove")),
    );
  }

  async function test(target) {
    say(target, "Sending…");
    try {
      say(target, outcome(await api.post(`${PATH}${target.id}/test/`)));
    } catch (error) {
      say(target, error.detail);
    }
  }

  function say(target, text) {
    tried.set(target.id, text);
    const line = list.querySelector(`[data-target="${CSS.escape(target.id)}"] [role=status]`);
    if (line) setText(line, text);
  }

  async function enable(target) {
    try {
      await api.patch(`${PATH}${target.id}/`, { disabled: false });
    } catch (error) {
      toast(`${error.title}: ${error.detail}`);
    }
    await load();
  }

  /** Make a target, or change this one, whose address is not told again. */
  async function edit(target = null) {
    const name = h("input", { name: "name", required: true, maxlength: 100, value: target?.name ?? "" });
    const shape = h("select", { name: "shape", onchange: fit }, options(SHAPES, target?.shape ?? "json"));
    const address = h("input", { name: "address", maxlength: 2048, autocomplete: "off" });
    const minutes = h("input", {
      type: "number",
      name: "digest",
      required: true,
      min: 1,
      max: 1440,
      value: target?.digest_minutes ?? 60,
    });
    const [kind, place, digest] = [
      field("Kind", shape),
      field(target ? "New address; empty leaves it as it is" : "Address", address),
      field("A digest every so many minutes", minutes),
    ];
    function fit() {
      kind.hidden = target !== null;
      place.hidden = shape.value === "feed";
      digest.hidden = shape.value !== "mail";
      address.required = !target && shape.value !== "feed";
      address.placeholder = shape.value === "mail" ? "you@example.org" : "https://example.org/hooks/…";
    }
    fit();
    const done = await ask({
      title: target ? `Edit ${target.name}` : "New target",
      confirm: target ? "Save" : "Make",
      fields: [field("Name", name), kind, place, digest],
      act() {
        const body = {
          name: name.value,
          address: (shape.value !== "feed" && address.value) || null,
          digest_minutes: Number(minutes.value),
        };
        return target ? api.patch(`${PATH}${target.id}/`, body) : api.post(PATH, { ...body, shape: shape.value });
      },
    });
    if (done) await tell(done);
  }

  async function rotate(target) {
    const before =
      target.shape === "feed" ? "The link of before leads nowhere at once." : "The old one signs too for a day.";
    const made = await ask({
      title: `Make a new secret of ${target.name}?`,
      confirm: "Make",
      fields: h("p", {}, before),
      act: () => api.post(`${PATH}${target.id}/rotate/`),
    });
    if (made) await tell(made);
  }

  /** Show what is told only now. */
  async function tell({ name, secret, feed_path }) {
    load();
    if (!secret && !feed_path) {
      toast(`${name} is saved.`);
      return;
    }
    const value = secret ?? location.origin + feed_path;
    const shown = h("input", { class: "mono", readonly: true, value, onfocus: ({ target }) => target.select() });
    await ask({
      title: secret ? "The signing secret" : "The link of the feed",
      confirm: "I have it",
      fields: [
        field(secret ? `Signs what is sent to ${name}` : `Whoever has the link reads ${name}`, shown),
        h("p", {}, "Keep it now: it is not shown again."),
      ],
      act: async () => true,
    });
  }

  async function remove(target) {
    const done = await ask({
      title: `Remove ${target.name}?`,
      confirm: "Remove",
      danger: true,
      fields: h("p", {}, "Its deliveries go with it. Rules stay, and tell it nothing any more."),
      async act() {
        await api.remove(`${PATH}${target.id}/`);
        return true;
      },
    });
    if (!done) return;
    toast(`${target.name} is removed.`);
    await load();
  }

  loads.repeat(load, REFRESH_MS, isDialogOpen);
  return { element, load };
}

/** What came back for a test alert, in words. */
function outcome({ verdict, status, seconds, reason, answer }) {
  const what = verdict === "done" ? "The test alert was taken" : "The test alert was not taken";
  return `${what}: ${[status, `${seconds.toFixed(2)} s`, reason, answer].filter(Boolean).join(", ")}`;
}
