// A page's state is in the query string, so that its address can be shared. Defaults are left out of the address.

const YES = ["1", "true"];
const NO = ["0", "false", ""];

/** The values of a choice, of whose members each is [value, text]. */
export const valuesOf = (choice) => choice.map(([value]) => value);

/**
 * The values of a name that may be given several times: at most `most` different ones that `isKnown` accepts. `text`
 * tells readers which these are.
 */
export const listOf = (isKnown, most, text) => ({ isKnown, most, text });

/** What readers are told about the values that a name may have: what `valuesOf` or `listOf` returned. */
export const textOf = (allowed) => allowed.text ?? allowed.filter(Boolean).join(", ");

/**
 * The state in the address, with `defaults` for what is missing, and for what is none of the `values` that its name may
 * have. Arrays are repeated parameters, true is "1"; the API's "true" is understood too.
 */
export function readState(defaults, values = {}, search = location.search) {
  const given = new URLSearchParams(search);
  return Object.fromEntries(
    Object.entries(defaults).map(([name, fallback]) => {
      const value = given.get(name);
      if (Array.isArray(fallback)) return [name, takenOf(given.getAll(name).filter(Boolean), values[name])];
      if (value === null || !isAllowed(name, value, defaults, values)) return [name, fallback];
      return [name, typeof fallback === "boolean" ? YES.includes(value) : value];
    }),
  );
}

/**
 * What in the address a page with these defaults and values leaves out, as texts: names that it does not know, and
 * values that are none of its choice, or are given beside another.
 */
export function leftOut(defaults, values = {}, search = location.search) {
  const given = new URLSearchParams(search);
  const seen = new Set();
  const out = [];
  for (const [name, value] of given) {
    const isSecond = seen.has(name);
    seen.add(name);
    if (!Object.hasOwn(defaults, name)) out.push(name);
    else if (Array.isArray(defaults[name])) {
      if (value && !takenOf(given.getAll(name), values[name]).includes(value)) out.push(`${name}=${value}`);
    } else if (isSecond || !isAllowed(name, value, defaults, values)) out.push(`${name}=${value}`);
  }
  return [...new Set(out)];
}

/** Those of a list of values that are taken: all of them, if there is no rule for the name. */
function takenOf(given, rule) {
  return rule ? [...new Set(given.filter(rule.isKnown))].slice(0, rule.most) : given;
}

function isAllowed(name, value, defaults, values) {
  const allowed = values[name] ?? (typeof defaults[name] === "boolean" ? [...YES, ...NO] : null);
  return allowed === null || allowed.includes(value);
}

/** Put the state into the address, without a new entry in the browser's history. */
export function writeState(state, defaults) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (JSON.stringify(value) === JSON.stringify(defaults[name])) continue;
    for (const one of Array.isArray(value) ? value : [value]) search.append(name, one === true ? "1" : one);
  }
  const text = search.toString();
  history.replaceState(null, "", location.pathname + (text && `?${text}`));
}

const RANGES = { "15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 };

/**
 * When a range such as "24h" begins, as an ISO time; null for "all". The time is rounded down to ten seconds, so that
 * the server can cache its answers.
 */
export function rangeStart(range, now = Date.now()) {
  const seconds = RANGES[range];
  return seconds ? new Date(Math.floor(now / 10_000) * 10_000 - seconds * 1000).toISOString() : null;
}
