// Dialogs that change which subreddits are watched. Each resolves to what was done, in words, or to undefined when the
// dialog was cancelled.
import * as api from "../api.js";
import { h, setText } from "../dom.js";
import { count, plural } from "../format.js";
import { Latest } from "../latest.js";
import { ask } from "./dialog.js";
import { field, options } from "./form.js";

export const PATH = "/api/subreddits/";
const CSV_PATH = "/api/subreddits.csv";
export const PRIORITIES = [
  ["fast", "Fast"],
  ["medium", "Medium"],
  ["slow", "Slow"],
];

/** A name, or how many names there are. */
export const inWords = (names) =>
  names.length === 1 ? `r/${names[0]}` : plural(names.length, "subreddit", "subreddits");

/** That something was done to subreddits whose polling changes by it. */
export const doneInWords = (done, names) => `${done} ${inWords(names)}. The poller follows within a minute.`;

/** Change priority or interval, or follow comments or not. `item` is the subreddit when there is only one. */
export async function editDialog(names, item = null) {
  const priority = h("select", { name: "priority" }, options([["", "as it is"], ...PRIORITIES], ""));
  const comments = h(
    "select",
    { name: "comments" },
    options(
      [
        ["", "as it is"],
        ["true", "Read them"],
        ["false", "Do not read them"],
      ],
      "",
    ),
  );
  const placeholder = item ? String(item.interval_seconds) : "as the priority has it";
  const interval = h("input", { type: "number", name: "interval", min: 5, max: 86_400, placeholder });
  const done = await ask({
    title: `Edit ${inWords(names)}`,
    confirm: "Save",
    fields: [
      field("Priority", priority),
      field("Longest time between two looks, in seconds", interval),
      field("Comments", comments),
    ],
    act: () =>
      api.patch(PATH, {
        names,
        ...(priority.value && { priority: priority.value }),
        ...(interval.value && { interval_seconds: Number(interval.value) }),
        ...(comments.value && { comments: comments.value === "true" }),
      }),
  });
  return done && doneInWords("Changed", names);
}

export async function removeDialog(names) {
  const done = await ask({
    title: `Watch ${inWords(names)} no more?`,
    confirm: "Remove",
    danger: true,
    fields: h("p", {}, "Posts that were seen stay. Adding a subreddit again later brings it back."),
    async act() {
      await api.post(`${PATH}remove/`, { names });
      return true;
    },
  });
  return done && `Removed ${inWords(names)}.`;
}

export async function addDialog() {
  const names = h("textarea", { name: "names", required: true, placeholder: "rust\nr/golang, python" });
  const priority = h("select", { name: "priority" }, options(PRIORITIES, "medium"));
  const pending = "They are pending until Reddit has shown them, which takes up to a minute.";
  const added = await ask({
    title: "Add subreddits",
    confirm: "Add",
    fields: [
      field("Names, with or without r/", names),
      field("Priority", priority),
      h("p", { class: "quiet" }, pending),
    ],
    act: () => api.post(PATH, { names: names.value.split(/[\s,]+/).filter(Boolean), priority: priority.value }),
  });
  return added && `Added ${inWords(added.map(({ name }) => name))}.`;
}

/** Import a CSV file, after a look at what the file would change. `signal` aborts when the page is left. */
export async function importDialog(signal) {
  const looks = new Latest(signal);
  const file = h("input", { type: "file", accept: ".csv,text/csv", required: true });
  const columns = "Columns: name, interval_seconds, priority and, if you like, paused, comments and post_sort.";
  const outcome = h("p", { class: "quiet", role: "status" }, columns);
  const send = (parameters) =>
    api.call("POST", CSV_PATH, { parameters, body: file.files[0], headers: { "Content-Type": "text/csv" } });
  const changes = ({ added, changed }) => `${count(added.length)} new, ${count(changed.length)} changed`;
  file.addEventListener("change", () =>
    looks.load({
      ask: () => send({ dry_run: "true" }),
      show(would) {
        const rows = plural(would.rows, "row", "rows");
        setText(outcome, `${rows}: ${changes(would)}, ${count(would.unchanged)} as they are.`);
      },
      fail: (error) => setText(outcome, error.detail),
    }),
  );
  const done = await ask({
    title: "Import subreddits",
    confirm: "Import",
    fields: [field("CSV file", file), outcome],
    act: () => send({}),
  });
  return done && `Imported: ${changes(done)}.`;
}
