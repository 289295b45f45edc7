// Tables: a row of labels, and a row for each item whose first cell names it.
import { h } from "../dom.js";

/** The labels of columns {label, number}: a column of numbers is aligned to the right. */
export const tableHead = (columns) =>
  h(
    "thead",
    {},
    h(
      "tr",
      {},
      columns.map(({ label, number }) => h("th", { scope: "col", class: number && "number" }, label)),
    ),
  );

/** A row for an item, by columns {cell(item), number}. */
const tableRow = (columns, item) =>
  h(
    "tr",
    {},
    columns.map(({ cell, number }, place) =>
      place === 0 ? h("th", { scope: "row" }, cell(item)) : h("td", { class: number && "number" }, cell(item)),
    ),
  );

/** A table of items by columns {label, number, cell(item)}. `row(item)` makes rows that the columns cannot describe. */
export const table = (columns, items, row = (item) => tableRow(columns, item)) =>
  h("table", {}, tableHead(columns), h("tbody", {}, items.map(row)));
