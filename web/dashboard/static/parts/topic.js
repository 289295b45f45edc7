// Topic clusters, which pages call stories: how one looks in a list, its subreddits, and the link from a post.
import { h } from "../dom.js";
import { count, plural, when } from "../format.js";
import { quiet } from "./layout.js";
import { subredditLink } from "./links.js";
import { titleLink } from "./title.js";

export const topicPath = (id) => `/topics/${encodeURIComponent(id)}`;

/** The words that weigh most in its titles. Posts of erased words may leave none. */
export const labelOf = ({ label }) => (label.length ? `words: ${label.join(" · ")}` : "words: not kept");

/** The subreddits of a story, each with its number of posts. */
export const subredditsOf = ({ subreddits }) =>
  h(
    "ul",
    { class: "chips", "aria-label": "Subreddits" },
    subreddits.map(({ subreddit, posts }) => h("li", {}, subredditLink(subreddit), " ", quiet(count(posts)))),
  );

/** How many posts a story has, and since when and until when they came. */
export const factsOf = ({ size, began_at: began, newest_at: joined, living }) =>
  h(
    "p",
    { class: "facts" },
    h("span", {}, plural(size, "post", "posts")),
    h("span", {}, "since ", when(began)),
    h("span", {}, "newest ", when(joined)),
    !living && h("span", { class: "chip" }, "ended"),
  );

/** A story in a list. */
export const topicCard = (topic) =>
  h(
    "li",
    { class: "topic-card", "data-id": topic.id },
    h("h3", { dir: "auto" }, h("a", { href: topicPath(topic.id) }, labelOf(topic))),
    factsOf(topic),
    topic.top_post && h("p", {}, titleLink(topic.top_post)),
    subredditsOf(topic),
  );

/** A link from a post to its story; null while no other post tells the same. */
export const storyOfPost = ({ nlp, topic_posts: posts }) =>
  nlp.topic_cluster && posts > 1
    ? h(
        "p",
        { class: "links" },
        h("a", { href: topicPath(nlp.topic_cluster) }, `Story: ${plural(posts, "post", "posts")}`),
      )
    : null;
