// Signals on pages: those that go on now, which lead the page Now; those of a post; and the details of shown ones.
import * as api from "../api.js";
import { announce, h, scrollRegion, setText } from "../dom.js";
import { Latest } from "../latest.js";
import { Live } from "../live.js";
import { card, quiet } from "./layout.js";
import { signalCard } from "./signal.js";
import { emptyState, errorNotice } from "./states.js";

const SHOWN = 8;
const MOST_ACTIVE = 100;
const REFRESH_MS = 15_000;
// The stream is quicker than the database, which tells what the posts are about.
const STORED_AFTER_MS = 2_000;
// A line that is older is drawn again.
const LINE_MS = 60_000;
const HOUR_MS = 3_600_000;
// So far back the posts of a subreddit must be known, before the rule says what is unusual there.
const KNOWN_MS = 2 * HOUR_MS;
const SHOWS_UP = "What takes off, or is unusual for its subreddit, shows up here.";

/** What signals wait for, by the coverage of the subreddits; nothing once all of them are known well enough. */
function waitsFor({ computed_at, items }) {
  const watched = items.filter(({ paused, state }) => !paused && ["ok", "unchecked"].includes(state));
  const since = Date.parse(computed_at) - KNOWN_MS;
  const known = watched.filter(({ polled_since }) => polled_since && Date.parse(polled_since) <= since);
  if (known.length === watched.length) return "";
  const progress = `${known.length} of ${watched.length} subreddits are known well enough`;
  return ` ${progress}: their posts of the last two hours are read first.`;
}

/** Cards by the ids of their signals, with the details of each from the API. `signal` aborts when the page is left. */
export class SignalCards {
  #cards = new Map();
  #loaded = new Map();
  #signal;

  constructor(signal) {
    this.#signal = signal;
  }

  /** The card of a signal as it stands now. */
  of(told) {
    const known = this.#cards.get(told.id);
    if (known) known.update(told);
    else this.#cards.set(told.id, signalCard(told));
    return this.#cards.get(told.id);
  }

  /** Keep the cards of these signals alone, and load what is not known yet of those that are stored. */
  keep(signals, isStored = () => true) {
    const wanted = new Set(signals.map(({ id }) => id));
    for (const id of this.#cards.keys()) if (!wanted.has(id)) this.forget(id);
    for (const one of signals) if (isStored(one)) this.#load(one);
  }

  forget(id) {
    this.#cards.delete(id);
    this.#loaded.delete(id);
  }

  async #load({ id, changed_at: changed }) {
    const known = this.#loaded.get(id);
    if (known?.changed === changed && Date.now() - known.at < LINE_MS) return;
    const load = { changed, at: Date.now() };
    this.#loaded.set(id, load);
    try {
      const told = await api.get(`/api/signals/${encodeURIComponent(id)}/`, {}, this.#signal);
      const card = this.#cards.get(id);
      // The stream may have told of a later change meanwhile.
      if (card && told.changed_at >= card.signal.changed_at) card.detail(told);
      else this.#loaded.delete(id);
    } catch {
      // The next refresh asks again. Until then the card has its sentence and numbers.
      if (this.#loaded.get(id) === load) this.#loaded.delete(id);
    }
  }
}

/**
 * Newest hour first. Within an hour the strongest of each kind come first, then the second ones: strengths of two kinds
 * cannot be compared, and the multiples of bursts would push all others out.
 */
function inOrder(signals) {
  const byStrength = [...signals].sort((a, b) => b.strength - a.strength || a.id.localeCompare(b.id));
  const counts = new Map();
  const ranked = byStrength.map((one) => {
    const group = `${hourOf(one)} ${one.kind}`;
    counts.set(group, (counts.get(group) ?? 0) + 1);
    return [counts.get(group), one];
  });
  ranked.sort(([a, one], [b, other]) => hourOf(other) - hourOf(one) || a - b);
  return ranked.map(([, one]) => one);
}
const hourOf = ({ started_at }) => Math.floor(Date.parse(started_at) / HOUR_MS);

/**
 * The signals that go on now: {element, load(), filter(subreddits), takeAway(ids)}. Its height is the same with and
 * without signals. `about` is what the API tells of itself.
 */
export function activeSignals(about, signal) {
  const live = new Live("signals");
  const loads = new Latest(signal);
  const cards = new SignalCards(signal);
  const active = new Map();
  // Ids of those in the last list of the API.
  let stored = new Set();
  const list = h("ol", { class: "signal-strip" });
  const region = scrollRegion("Signals that go on now", list);
  const waiting = h("span");
  const nothing = h("li", { class: "none" }, emptyState("Nothing unusual now", SHOWS_UP, waiting));
  let subreddits = [];
  let later = 0;

  const explain = async () => {
    try {
      setText(waiting, waitsFor(await api.get("/api/coverage/", { window: "1h" }, signal)));
    } catch {
      // Why there is none is not worth an error of its own: the next refresh asks again.
    }
  };
  const load = () =>
    loads.load({
      ask: () => api.get("/api/signals/", { active: "true", subreddit: subreddits, page_size: MOST_ACTIVE }, signal),
      show({ items }) {
        stored = new Set(items.map(({ id }) => id));
        const newest = new Map(items.map((one) => [one.id, one]));
        // What the stream told is newer than the answer, or not stored yet.
        const told = live.recent().filter(isWanted);
        for (const one of told) if (isNewer(one, newest.get(one.id))) newest.set(one.id, one);
        active.clear();
        for (const one of newest.values()) if (!one.ended_at) active.set(one.id, one);
        show();
        if (!active.size) explain();
      },
      fail: (error) => region.replaceChildren(errorNotice(error, load)),
    });

  const isNewer = (one, known) => !known || one.changed_at > known.changed_at;
  const isWanted = ({ subreddit }) =>
    subreddits.length === 0 || subreddits.some((name) => name.toLowerCase() === subreddit?.toLowerCase());

  function show() {
    const shown = inOrder(active.values()).slice(0, SHOWN);
    const elements = shown.map((one) => cards.of(one).element);
    cards.keep(shown, ({ id }) => stored.has(id));
    if (!region.contains(list)) region.replaceChildren(list);
    if (!elements.length) list.replaceChildren(nothing);
    else if (!isRead() || !list.querySelector(".signal")) place(elements);
    else append(elements);
  }

  /** Cards change places only while nobody reads them: what is new then waits at the end. */
  const isRead = () => list.matches(":hover, :focus-within");

  function place(elements) {
    if (elements.length === list.children.length && elements.every((one, index) => list.children[index] === one))
      return;
    list.replaceChildren(...elements);
  }

  function append(elements) {
    const gone = [...list.children].filter((one) => !elements.includes(one));
    for (const element of gone) element.remove();
    list.append(...elements.filter((element) => !list.contains(element)));
  }

  function take(observed) {
    for (const one of observed.filter(isWanted)) {
      if (one.ended_at) active.delete(one.id);
      else {
        if (!active.has(one.id)) announce(one.sentence);
        active.set(one.id, one);
      }
    }
    show();
    clearTimeout(later);
    later = setTimeout(load, STORED_AFTER_MS);
  }

  live.addEventListener("signals", ({ detail: observed }) => take(observed), { signal });
  live.addEventListener("reset", load, { signal });
  live.start(about.live_heartbeat_seconds);
  loads.repeat(load, REFRESH_MS);
  signal.addEventListener("abort", () => {
    clearTimeout(later);
    live.stop();
  });
  const all = h("a", { class: "button small", href: "/signals" }, "All signals");
  const beside = quiet("what takes off and what is unusual where it happens");
  return {
    element: card({ title: "Signals", beside, end: all, region: "signals" }, region),
    load,
    /** Show only those of these subreddits; of all, if there are none. */
    filter(names) {
      subreddits = names;
      live.filter(names.length ? { subreddit: names } : {});
      return load();
    },
    /** Posts were taken away: what is said of them goes, until the API says what is left. */
    takeAway(ids) {
      const gone = [...active.values()].filter(({ post_ids }) => post_ids.some((id) => ids.includes(id)));
      for (const { id } of gone) {
        active.delete(id);
        cards.forget(id);
      }
      if (gone.length) show();
    },
  };
}

/** The signals of a post: {element, load()}. It is hidden while there is none. */
export function signalsOfPost(id, signal) {
  const loads = new Latest(signal);
  const cards = new SignalCards(signal);
  const list = h("ol", { class: "signal-list" });
  const element = card({ title: "Signals", region: "signals" }, list);
  element.hidden = true;
  const load = () =>
    loads.load({
      ask: () => api.get("/api/signals/", { subject: id }, signal),
      show({ items }) {
        element.hidden = items.length === 0;
        list.replaceChildren(...items.map((one) => cards.of(one).element));
        cards.keep(items);
      },
      // The rest of the page says what is wrong.
      fail() {},
    });
  loads.repeat(load, REFRESH_MS);
  return { element, load };
}
