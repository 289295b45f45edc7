// The field of a query: what it would have met in the last week, and the place of an error below it.
import * as api from "../api.js";
import { h, outward, setText } from "../dom.js";
import { count, plural, when } from "../format.js";
import { Latest } from "../latest.js";
import { button } from "./form.js";

const PREVIEW = "/api/alerts/preview/";
const HINT = 'Words, "phrases", AND, OR, NOT, (…), subreddit:, author:, signal:, score>, comments>, kind:comment';

/**
 * A query to write: {element, value(), marking(act)}. `marking` returns what `act` does. When that throws an error of
 * the query, it shows the place.
 */
export function queryField(text, signal) {
  const loads = new Latest(signal);
  const input = h("input", {
    id: "query",
    class: "mono",
    name: "query",
    required: true,
    spellcheck: "false",
    autocomplete: "off",
    value: text,
    "aria-describedby": "query-error query-hint",
    oninput: unmark,
  });
  const wrong = h("div", { id: "query-error", role: "alert" });
  const met = h("p", { role: "status" });
  const newest = h("ol", { class: "preview-list" });
  const element = h(
    "div",
    { class: "query" },
    h("label", { class: "field", for: "query" }, "Query", input),
    wrong,
    h("p", { class: "quiet", id: "query-hint" }, HINT),
    h("div", { class: "row" }, button("Preview", "small", preview), met),
    newest,
  );

  function unmark() {
    input.removeAttribute("aria-invalid");
    wrong.replaceChildren();
  }

  /** Show what is wrong with the query, if this error says it. Returns whether it does. */
  function mark(error) {
    const fault = error.errors?.find(({ parameter }) => parameter === "query");
    if (!fault) return false;
    const [message, ...place] = fault.message.split("\n");
    input.setAttribute("aria-invalid", "true");
    wrong.replaceChildren(
      h("strong", {}, message),
      place.length ? h("pre", { "aria-hidden": "true" }, place.join("\n")) : "",
      h("span", { class: "unseen" }, fault.position === undefined ? "" : ` At character ${fault.position + 1}.`),
    );
    input.focus();
    if (fault.position !== undefined) input.setSelectionRange(fault.position, fault.position + 1);
    return true;
  }

  function preview() {
    setText(met, "Looking…");
    return loads.load({
      ask: () => api.post(PREVIEW, { query: input.value }),
      show(found) {
        unmark();
        setText(met, inWords(found));
        newest.replaceChildren(...found.newest.map(line));
      },
      fail(error) {
        newest.replaceChildren();
        setText(met, mark(error) ? "" : `${error.title}: ${error.detail}`);
      },
    });
  }

  async function marking(act) {
    try {
      return await act();
    } catch (error) {
      if (!mark(error)) throw error;
      throw new api.Problem(error.status, "The query is wrong", "Its place is marked below it.");
    }
  }

  return { element, value: () => input.value, marking };
}

/** "41 matches in the last week: 38 posts and 3 comments." */
function inWords({ posts, comments, more_posts, more_comments }) {
  const more = more_posts || more_comments ? "more than " : "";
  const of = `${count(posts)}${more_posts ? "+" : ""} ${posts === 1 ? "post" : "posts"}`;
  const and = `${count(comments)}${more_comments ? "+" : ""} ${comments === 1 ? "comment" : "comments"}`;
  return `${more}${plural(posts + comments, "match", "matches")} in the last week: ${of} and ${and}`;
}

const line = ({ kind, subreddit, text, permalink, created_at }) =>
  h(
    "li",
    {},
    outward(permalink, text || kind),
    h("span", { class: "quiet" }, ` ${kind} in r/${subreddit}, `, when(created_at)),
  );
