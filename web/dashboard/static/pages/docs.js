// The REST API, from its OpenAPI document: what can be asked, and what comes back.
import * as api from "../api.js";
import { h, scrollRegion } from "../dom.js";
import { plural } from "../format.js";
import { card, pageHead, quiet } from "../parts/layout.js";
import { table } from "../parts/table.js";
import { readState, writeState } from "../urlstate.js";

export const DEFAULTS = { search: "" };
const METHODS = ["get", "post", "put", "patch", "delete"];

/** Show the page in `root` until `signal` aborts. */
export async function mount(root, { signal, live }) {
  live.pause();
  const state = readState(DEFAULTS);
  const description = await api.get("/api/openapi.json", null, signal);
  const operations = operationsOf(description);
  const search = h("input", {
    type: "search",
    class: "input",
    value: state.search,
    placeholder: "Part of an address or of its words",
    "aria-label": "Search the API",
    name: "search",
  });
  const number = quiet();
  const entries = operations.map((operation) => ({ operation, element: operationEntry(operation) }));
  const groups = Map.groupBy(entries, ({ operation }) => operation.tags?.[0] ?? "other");
  const cards = [...groups].map(([tag, members]) => ({
    members,
    element: card(
      { title: tag, region: `tag-${tag}` },
      h(
        "div",
        { class: "body" },
        members.map((one) => one.element),
      ),
    ),
  }));

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { operation, element } of entries) {
      element.hidden = !words.every((word) => operation.text.includes(word));
    }
    for (const { members, element } of cards) element.hidden = members.every((one) => one.element.hidden);
    const shown = entries.filter(({ element }) => !element.hidden).length;
    number.textContent = `${plural(shown, "operation", "operations")} of ${operations.length}`;
  }

  search.addEventListener("input", () => {
    filter();
    writeState({ search: search.value.trim() }, DEFAULTS);
  });
  root.append(
    pageHead("API", number, search),
    h(
      "p",
      { class: "quiet" },
      "Sign in with POST /api/token/ or send an API key: Authorization: Bearer. The document itself is at ",
      h("a", { href: "/api/openapi.json", target: "_blank" }, "/api/openapi.json"),
      ", topics and live stream are described at ",
      h("a", { href: "/api/asyncapi.json", target: "_blank" }, "/api/asyncapi.json"),
      ".",
    ),
    ...cards.map(({ element }) => element),
    card({ title: "Schemas", region: "schemas" }, h("div", { class: "body" }, schemaEntries(description))),
  );
  filter();
}

function operationsOf({ paths }) {
  return Object.entries(paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => {
      const { summary = "", description = "", ...more } = item[method];
      const text = `${method} ${path} ${summary} ${description} ${more.tags ?? ""}`.toLowerCase();
      return { method, path, summary, description, text, ...more };
    }),
  );
}

function operationEntry({ method, path, summary, description, parameters, requestBody, responses }) {
  const columns = [
    { label: "Name", cell: ({ name }) => h("code", {}, name) },
    { label: "In", cell: (one) => one.in + (one.required ? ", required" : "") },
    { label: "Type", cell: ({ schema }) => typeOf(schema) },
    { label: "Meaning", cell: (one) => one.description ?? "" },
  ];
  const answers = [
    { label: "Status", cell: ([status]) => status },
    { label: "Meaning", cell: ([, answer]) => answer.description ?? "" },
    { label: "Body", cell: ([, answer]) => bodyOf(answer) },
  ];
  return h(
    "details",
    { class: "operation" },
    h("summary", {}, h("code", {}, `${method.toUpperCase()} ${path}`), " ", quiet(summary)),
    description && h("p", {}, description),
    requestBody && h("p", {}, "Body: ", bodyOf(requestBody)),
    parameters?.length > 0 && scrollRegion(`Parameters of ${path}`, table(columns, parameters)),
    scrollRegion(`Answers of ${path}`, table(answers, Object.entries(responses))),
  );
}

function schemaEntries({ components }) {
  const columns = [
    { label: "Field", cell: ([name]) => h("code", {}, name) },
    { label: "Type", cell: ([, schema]) => typeOf(schema) },
    { label: "Meaning", cell: ([, schema]) => schema.description ?? "" },
  ];
  return Object.entries(components.schemas).map(([name, schema]) =>
    h(
      "details",
      { class: "operation", id: `schema-${name}` },
      h("summary", {}, h("code", {}, name)),
      schema.description && h("p", {}, schema.description),
      schema.properties && scrollRegion(`Fields of ${name}`, table(columns, Object.entries(schema.properties))),
    ),
  );
}

const bodyOf = ({ content = {} }) =>
  Object.entries(content).map(([type, { schema }]) => h("div", {}, h("code", {}, type), " ", typeOf(schema)));

/** The type of a schema in words; another schema is named, and its name leads to it. */
function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1);
    return h("a", { href: `#schema-${name}`, onclick: () => openSchema(name) }, name);
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.flatMap((one, place) => (place ? [" or ", typeOf(one)] : [typeOf(one)]));
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return ["list of ", typeOf(schema.items)];
  const bounds = [
    ["minimum", "≥"],
    ["maximum", "≤"],
    ["minLength", "length ≥"],
    ["maxLength", "length ≤"],
  ].flatMap(([name, sign]) => (schema[name] === undefined ? [] : [`${sign} ${schema[name]}`]));
  return [schema.format ?? schema.type ?? "anything", bounds.length ? ` (${bounds.join(", ")})` : ""];
}

function openSchema(name) {
  document.getElementById(`schema-${name}`).open = true;
}
