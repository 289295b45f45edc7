// The title of a post. Strangers write it, so it may hold anything that Unicode has.
import { h } from "../dom.js";

// Neither blanks, controls, marks without a letter, nor characters that fonts show as nothing, as U+2800.
const VISIBLE = /[^\s\p{Cc}\p{Cf}\p{M}\p{Default_Ignorable_Code_Point}\u2800]/u;
const DIRECTIONS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** The title, or words in its place when it is not kept, as of a deleted post, or when nothing of it can be seen. */
export const titleText = (title) => {
  if (title === "") return "(title not kept)";
  return VISIBLE.test(title) ? title : "(title without visible characters)";
};

/** The same for places that hold other text too: without characters that would turn the direction of that text. */
export const titleWithin = (title) => titleText(title).replace(DIRECTIONS, "");

/** Attributes of the element that holds a title alone. Styles clip what its characters put outside of it. */
export const titleAttributes = (title) => ({
  dir: "auto",
  class: VISIBLE.test(title) ? "title-text" : "title-text quiet",
});

/** The title as a link to the page of its post. */
export const titleLink = ({ id, title }) =>
  h("a", { href: `/posts/${id}`, ...titleAttributes(title) }, titleText(title));
