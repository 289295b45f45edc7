// Links to the posts of a subreddit, by an author, or with a keyword.
import { h } from "../dom.js";

export const keywordPath = (word) => `/?keyword=${encodeURIComponent(word)}`;

export const subredditLink = (name) =>
  h("a", { class: "subreddit", href: `/?subreddit=${encodeURIComponent(name)}` }, `r/${name}`);

export const authorLink = (name) =>
  h("a", { class: "author", href: `/?author=${encodeURIComponent(name)}` }, `u/${name}`);

/** The keywords of a post, each a link to the posts that have it too. */
export const keywordList = (words, attributes) =>
  h(
    "ul",
    { "aria-label": "Keywords", ...attributes },
    words.map((word) => h("li", {}, h("a", { class: "chip", href: keywordPath(word) }, h("span", {}, word)))),
  );
