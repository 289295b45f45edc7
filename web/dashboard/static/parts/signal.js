// How a signal looks: where, since when, its sentence, how sure it is and why, and a sparkline with what is usual.
import { h, setText } from "../dom.js";
import { absoluteTime, when } from "../format.js";
import { sparkline } from "../spark.js";
import { subredditLink } from "./links.js";
import { titleLink } from "./title.js";

/** What the kinds are called. */
export const KINDS = [
  ["viral", "Taking off"],
  ["unusual_here", "Unusual here"],
  ["burst", "On everyone's lips"],
];
const COLOURS = { viral: "accent", unusual_here: "warn", burst: "good" };
const UNITS = { posts: "New posts in 15 minutes", score: "Score", none: "Nothing is known" };

/** The line that says how a number moved, for those who cannot see it. */
function labelOf({ unit, items }) {
  if (items.length < 2) return `${UNITS[unit]}: not enough is known for a line`;
  const [first, last] = [items[0], items.at(-1)];
  return `${UNITS[unit]}: ${first.value} at ${absoluteTime(first.at)}, ${last.value} at ${absoluteTime(last.at)}`;
}

/** What it is about: the post with its title or the subreddit, as links, or the term, as far as it is known. */
function subjectOf({ subject_kind: kind, subject, subreddit, term, posts }) {
  if (kind === "subreddit") return subredditLink(subreddit ?? subject);
  if (kind === "term") return term ? h("span", {}, `“${term}”`) : null;
  const post = posts?.find(({ id }) => id === subject);
  return post?.title ? titleLink(post) : h("a", { href: `/posts/${encodeURIComponent(subject)}` }, "the post");
}

/**
 * A signal: {element, signal, update(signal), detail(signal)}. `update` is called with what a list or the stream tells,
 * `detail` with what the API tells of one signal, which knows its posts and numbers.
 */
export function signalCard(first) {
  const kind = h("span", { class: "chip" });
  const subject = h("span", { class: "subject" });
  const times = h("span", { class: "times" });
  const sentence = h("p", { class: "sentence" });
  const sure = h("span", { class: "chip" });
  const why = h("p", { class: "quiet why" });
  const box = h("div", { class: "spark-box" });
  const element = h(
    "li",
    { class: "signal", "data-id": first.id },
    h("p", { class: "facts" }, kind, subject, times),
    sentence,
    box,
    h("div", { class: "sure" }, sure, why),
  );
  const card = { element, signal: null, update, detail };

  function update(fresh) {
    // The stream does not know what the posts are about. Of the same change, the API's sentence says more.
    const saysLess = !fresh.keywords && card.signal?.keywords && fresh.changed_at === card.signal.changed_at;
    card.signal = { ...card.signal, ...fresh, ...(saysLess && { sentence: card.signal.sentence }) };
    const { kind: name, started_at: started, ended_at: ended } = card.signal;
    kind.className = `chip ${COLOURS[name] ?? ""}`;
    setText(kind, KINDS.find(([known]) => known === name)?.[1] ?? name);
    const link = subjectOf(card.signal);
    if (link?.textContent !== subject.textContent) subject.replaceChildren(link ?? "");
    times.replaceChildren("began ", when(started), ...(ended ? [", ended ", when(ended)] : []));
    setText(sentence, card.signal.sentence);
    // The strip of the page Now has no room for the longest ones.
    sentence.title = card.signal.sentence;
    setText(sure, card.signal.how_sure);
    setText(why, card.signal.why);
    why.title = card.signal.why;
  }

  function detail(told) {
    update(told);
    const { items } = told.series;
    const spark = sparkline(labelOf(told.series));
    const created = told.posts.find(({ id }) => id === told.subject)?.created_utc;
    spark.draw(
      [
        // A post begins with no score, so a line can be drawn from its first observation on.
        ...(created ? [[Date.parse(created), 0]] : []),
        ...items.map(({ at, value }) => [Date.parse(at), value]),
      ],
      items
        .filter(({ expected }) => expected !== null)
        .map(({ at, expected, low, high }) => [Date.parse(at), expected, low, high]),
    );
    box.replaceChildren(spark.element);
  }

  update(first);
  return card;
}
