// What was taken away from Reddit: how much of it was erased here, how quickly, and how old posts and comments are
// checked.
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
    day: ["Last 24 hours"],
    posts: ["In all"],
    sweep: ["Old posts checked", "when the last whole round ended"],
    commentSweep: ["Old comments checked", "when the last whole round ended"],
  });

  function showSweep(name, beganAt, endedAt) {
    const began = beganAt && h("span", {}, "this round began ", when(beganAt));
    figures.set(name, endedAt ? ago(endedAt) : NONE, began || undefined);
  }

  function show(now) {
    const ofLastDay = now.posts_of_last_day + now.comments_of_last_day;
    const longest = ofLastDay ? `median; the longest took ${duration(now.longest_lag_seconds)}` : undefined;
    const kept = `topics keep their text ${plural(now.kafka_days, "day", "days")} at most`;
    const inWords = (posts, comments) =>
      `${plural(posts, "post", "posts")}, ${plural(comments, "comment", "comments")}`;
    failed.replaceChildren();
    figures.set("lag", duration(now.median_lag_seconds), longest);
    figures.set("day", count(ofLastDay), inWords(now.posts_of_last_day, now.comments_of_last_day));
    figures.set("posts", count(now.posts + now.comments), `${inWords(now.posts, now.comments)}; ${kept}`);
    showSweep("sweep", now.sweep_began_at, now.sweep_ended_at);
    showSweep("commentSweep", now.comment_sweep_began_at, now.comment_sweep_ended_at);
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
