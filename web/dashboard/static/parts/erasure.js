// What was taken away from Reddit: how much of it was erased here, how quickly, and how old posts are checked.
import * as api from "../api.js";
import { h } from "../dom.js";
import { ago, count, duration, NONE, plural, when } from "../format.js";
import { Latest } from "../latest.js";
import { card, figureStrip, quiet } from "./layout.js";
import { errorNotice } from "./states.js";

const REFRESH_MS = 30_000;

/** The box about erasure: {element, load()}. */
export function erasureCard(signal) {
  const loads = new Latest(signal);
  const failed = h("div");
  const figures = figureStrip({
    lag: ["Until erased", "from seen as taken away, median of the last 24 hours"],
    day: ["Last 24 hours", "posts that were taken away"],
    posts: ["In all"],
    sweep: ["Old posts checked", "when the last whole round ended"],
  });

  function show(now) {
    const longest = now.posts_of_last_day ? `median; the longest took ${duration(now.longest_lag_seconds)}` : undefined;
    const began = now.sweep_began_at && h("span", {}, "this round began ", when(now.sweep_began_at));
    const kept = `posts; topics keep their text ${plural(now.kafka_days, "day", "days")} at most`;
    failed.replaceChildren();
    figures.set("lag", duration(now.median_lag_seconds), longest);
    figures.set("day", count(now.posts_of_last_day));
    figures.set("posts", count(now.posts), kept);
    figures.set("sweep", now.sweep_ended_at ? ago(now.sweep_ended_at) : NONE, began || undefined);
  }

  const load = () =>
    loads.load({
      ask: () => api.get("/api/erasure/", {}, signal),
      show,
      fail: (error) => failed.replaceChildren(errorNotice(error, load)),
    });

  loads.repeat(load, REFRESH_MS);
  const about = quiet("what authors, moderators or Reddit took away loses its text here");
  return { element: card({ title: "Erasure", beside: about, region: "erasure" }, failed, figures.element), load };
}
