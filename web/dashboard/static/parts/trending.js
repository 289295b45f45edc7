// Subreddits that rise in r/popular, or that Reddit calls popular, and are not watched yet. A button watches one.
import * as api from "../api.js";
import { h, replaceKeepingFocus, scrollRegion, toast } from "../dom.js";
import { count, decimal, when } from "../format.js";
import { Latest } from "../latest.js";
import { isDialogOpen } from "./dialog.js";
import { button } from "./form.js";
import { card, quiet } from "./layout.js";
import { subredditLink } from "./links.js";
import { emptyState, errorNotice } from "./states.js";
import { doneInWords, PATH } from "./subreddit_dialogs.js";
import { table } from "./table.js";

const SHOWN = 10;
// The poller looks at r/popular every quarter of an hour.
const REFRESH_MS = 60_000;

/**
 * The box of subreddits that rise: {element, load()}. `mayChange` brings the buttons; `watched()` is called after one
 * was pressed.
 */
export function trendingCard({ signal, mayChange, watched }) {
  const loads = new Latest(signal);
  const region = scrollRegion("Subreddits that rise");
  const columns = [
    { label: "Subreddit", cell: ({ name }) => subredditLink(name) },
    { label: "Rising posts", number: true, cell: ({ posts }) => count(posts) },
    { label: "Best rank", number: true, cell: ({ best_rank: rank }) => count(rank) },
    { label: "Popular", number: true, cell: ({ popular_rank: rank }) => count(rank) },
    { label: "Weight", number: true, cell: ({ weight }) => decimal(weight) },
    { label: "Last seen", number: true, cell: ({ last_seen_at: seen }) => when(seen) },
    ...(mayChange ? [{ label: h("span", { class: "unseen" }, "Actions"), number: true, cell: watchButton }] : []),
  ];

  function watchButton({ name }) {
    return button("Watch", "small", (event) => watch(event.currentTarget, name), {
      "data-focus": `watch ${name}`,
      "aria-label": `Watch r/${name}`,
    });
  }

  async function watch(pressed, name) {
    const next = pressed.closest("tr").nextElementSibling ?? pressed.closest("tr").previousElementSibling;
    const hadFocus = document.activeElement === pressed;
    pressed.disabled = true;
    try {
      await api.post(PATH, { names: [name] });
    } catch (error) {
      toast(`${error.title}: ${error.detail}`);
      pressed.disabled = false;
      return;
    }
    toast(doneInWords("Added", [name]));
    // The row goes away, and a reader who uses the keyboard goes on with the one after it.
    if (hadFocus) next?.querySelector("[data-focus]")?.focus({ preventScroll: true });
    await Promise.all([load(), watched()]);
  }

  function show({ items }) {
    const nothing = () => emptyState("Nothing rises that is not watched", "The poller looks every quarter of an hour.");
    replaceKeepingFocus(region, items.length ? table(columns, items) : nothing());
  }

  const load = () =>
    loads.load({
      ask: () => api.get(`${PATH}trending/`, { limit: SHOWN }, signal),
      show,
      fail: (error) => region.replaceChildren(errorNotice(error, load)),
    });

  loads.repeat(load, REFRESH_MS, isDialogOpen);
  const about = quiet("in r/popular within a day, and not watched yet");
  return { element: card({ title: "Rising on Reddit", beside: about, region: "rising" }, region), load };
}
