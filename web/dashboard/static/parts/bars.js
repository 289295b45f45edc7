// Bars: a list of numbers, each with a bar whose length compares it with the greatest.
import { h } from "../dom.js";
import { count } from "../format.js";

/** Bars for rows {name, value, kind, href, note}; `kind` is a class for the colour, `note` stands behind the number. */
export function bars(rows) {
  const greatest = Math.max(1, ...rows.map(({ value }) => value));
  return h(
    "dl",
    { class: "bars" },
    rows.map((row) => bar(row, greatest)),
  );
}

function bar({ name, value, kind = "", href, note }, greatest) {
  const fill = h("span", { class: `fill ${kind}` });
  fill.style.width = `${(value / greatest) * 100}%`;
  return [
    h("dt", { class: "name", title: name }, href ? h("a", { href }, name) : name),
    h("dd", { class: "track", "aria-hidden": "true" }, fill),
    h("dd", { class: "number" }, count(value), note),
  ];
}
