// What every page is laid out with: its head, boxes with a title, and the strip of figures.
import { h, setText } from "../dom.js";
import { NONE } from "../format.js";

/** The top of a page: its title, what is said beside it, and buttons. */
export const pageHead = (title, note, ...buttons) =>
  h("div", { class: "head" }, h("h1", {}, title), h("div", { class: "grow" }, note), buttons);

/** Small text that explains. */
export const quiet = (...children) => h("span", { class: "quiet" }, ...children);

/**
 * A box with a title. `beside` stands in the title's line, `end` at the end of that line. With `region`, screen readers
 * list the box among the regions of the page; it is a name that occurs once on a page.
 */
export const card = ({ title, beside, end, region }, ...content) =>
  h(
    "section",
    { class: "card", "aria-labelledby": region && `${region}-title` },
    h(
      "header",
      {},
      h("h2", { id: region && `${region}-title` }, title),
      beside,
      end && h("div", { class: "end row" }, end),
    ),
    content,
  );

/**
 * Figures, each with a label above it and a note below: {element, set(name, value, note), append(name, child)}.
 * `labels` are {name: [label, note]}; the note may come later.
 */
export function figureStrip(labels) {
  const figures = new Map();
  for (const [name, [label, text]] of Object.entries(labels)) {
    const [value, note] = [h("dd", {}, NONE), h("dd", { class: "note" }, text)];
    figures.set(name, { value, note, element: h("div", { class: "figure" }, h("dt", {}, label), value, note) });
  }
  return {
    element: h(
      "dl",
      { class: "figures" },
      [...figures.values()].map(({ element }) => element),
    ),
    /** Show a value and, if one is given, a note: text or an element. */
    set(name, value, note) {
      const figure = figures.get(name);
      setText(figure.value, value);
      if (note instanceof Node) figure.note.replaceChildren(note);
      else if (note !== undefined) setText(figure.note, note);
    },
    /** Add something below the note of a figure. */
    append(name, child) {
      figures.get(name).element.append(child);
    },
  };
}
