// How a post looks: a line of the feed, and a card of what takes off.
import { h, setText } from "../dom.js";
import { count, perMinute, plural, setWhen, short, when } from "../format.js";
import { sparkline } from "../spark.js";

const MOST_KEYWORDS = 3;

/** What speaks for a post taking off: texts, with how much each counts in the trending score (0: it only explains). */
export function reasons(post, rule) {
  const found = [];
  const velocity = post.score_velocity ?? 0;
  if (velocity > rule.velocity_high)
    found.push({ text: `${perMinute(velocity)} score`, weight: rule.weights.velocity_high });
  else if (velocity > rule.velocity_low)
    found.push({ text: `${perMinute(velocity)} score`, weight: rule.weights.velocity_low });
  else if (velocity > 0) found.push({ text: `${perMinute(velocity)} score`, weight: 0 });
  if (post.current_comments > rule.comments)
    found.push({ text: plural(post.current_comments, "comment", "comments"), weight: rule.weights.comments });
  else if (post.comment_velocity > 0) found.push({ text: `${perMinute(post.comment_velocity)} comments`, weight: 0 });
  const sentiment = post.nlp?.sentiment_score;
  if (Math.abs(sentiment ?? 0) > rule.sentiment)
    found.push({ text: `strongly ${post.nlp.sentiment_label} title`, weight: rule.weights.sentiment });
  return found;
}

function reasonChips(post, rule) {
  return reasons(post, rule).map(({ text, weight }) =>
    h(
      "li",
      {
        class: weight ? "chip accent" : "chip",
        title: weight ? `counts ${weight} in the trending score` : "does not count in the trending score",
      },
      h("span", {}, text),
      weight ? h("span", {}, `+${weight}`) : null,
    ),
  );
}

const sign = (value) => (value > 0 ? "up" : value < 0 ? "down" : "");

/** Flash a number that changed, unless it is new. */
function change(element, text) {
  if (element.textContent === text) return;
  const fresh = element.textContent === "";
  element.textContent = text;
  if (!fresh && !document.hidden) element.animate?.([{ color: "var(--accent)" }, {}], { duration: 1200 });
}

function facts(post, age) {
  const sentiment = h("span", { class: "sentiment" });
  const element = h(
    "p",
    { class: "facts" },
    h("a", { class: "subreddit", href: `/?subreddit=${encodeURIComponent(post.subreddit)}` }, `r/${post.subreddit}`),
    age,
    post.over_18 ? h("span", { class: "chip bad" }, "18+") : null,
    sentiment,
    post.author ? h("span", { class: "author" }, `u/${post.author}`) : null,
    post.flair ? h("span", { class: "flair" }, post.flair) : null,
  );
  return { element, sentiment };
}

/** A line of the feed: {element, update(post)}. Its height does not depend on the numbers. */
export function postRow(post) {
  const score = h("span", { class: "score" });
  const velocity = h("span", { class: "velocity" });
  const comments = h("span", { class: "comments" });
  const trending = h("span", { class: "chip accent", hidden: true }, "trending");
  const age = when(post.created_utc);
  const { element: about, sentiment } = facts(post, age);
  const element = h(
    "li",
    { class: "post-row", "data-id": post.id },
    h("div", { class: "tally" }, score, velocity),
    h("div", { class: "what" }, h("p", { class: "title" }, h("a", { href: `/posts/${post.id}` }, post.title)), about),
    h(
      "ul",
      { class: "chips keywords", "aria-label": "Keywords" },
      (post.nlp?.keywords ?? [])
        .slice(0, MOST_KEYWORDS)
        .map((word) =>
          h("li", {}, h("a", { class: "chip", href: `/?keyword=${encodeURIComponent(word)}` }, h("span", {}, word))),
        ),
    ),
    h("div", { class: "side" }, trending, comments),
  );
  function update(fresh) {
    change(score, short(fresh.current_score));
    score.title = plural(fresh.current_score, "point", "points");
    setText(velocity, fresh.score_velocity ? perMinute(fresh.score_velocity) : "");
    velocity.className = `velocity ${sign(fresh.score_velocity)}`;
    velocity.title = "score a minute, since the observation before";
    setText(comments, plural(fresh.current_comments, "comment", "comments"));
    trending.hidden = !fresh.is_trending;
    const label = fresh.nlp?.sentiment_label;
    sentiment.className = `sentiment ${label ?? ""}`;
    setText(sentiment, label && label !== "neutral" ? label : "");
  }
  update(post);
  return { element, update };
}

/** A card of what takes off: {element, update(post), draw(points)}. */
export function risingCard(post, rule) {
  const score = h("span", { class: "score" });
  const velocity = h("span", { class: "velocity" });
  const comments = h("span", { class: "quiet" });
  const why = h("ul", { class: "chips why", "aria-label": "Why" });
  const age = when(post.created_utc);
  const spark = sparkline(`Score of “${post.title}” over time`);
  const element = h(
    "li",
    { class: "rising-card", "data-id": post.id },
    h(
      "div",
      { class: "what" },
      h("p", { class: "title" }, h("a", { href: `/posts/${post.id}` }, post.title)),
      h(
        "p",
        { class: "facts" },
        h(
          "a",
          { class: "subreddit", href: `/?subreddit=${encodeURIComponent(post.subreddit)}` },
          `r/${post.subreddit}`,
        ),
        age,
        comments,
      ),
    ),
    h("div", { class: "numbers" }, score, velocity),
    h("div", { class: "spark-box" }, spark.element),
    why,
  );
  function update(fresh) {
    change(score, short(fresh.current_score));
    setText(velocity, perMinute(fresh.score_velocity));
    velocity.className = `velocity ${sign(fresh.score_velocity)}`;
    setText(comments, `${count(fresh.current_comments)} comments`);
    const chips = reasonChips(fresh, rule);
    if (chips.map((chip) => chip.textContent).join() !== [...why.children].map((chip) => chip.textContent).join())
      why.replaceChildren(...chips);
    setWhen(age, fresh.created_utc);
  }
  update(post);
  return { element, update, draw: spark.draw };
}
