// A page's state is in the query string, so that its address can be shared. Defaults are left out of the address.

/**
 * The state in the address, with `defaults` for what is missing. Arrays are repeated parameters, true is "1"; the API's
 * "true" is understood too.
 */
export function readState(defaults, search = location.search) {
  const given = new URLSearchParams(search);
  return Object.fromEntries(
    Object.entries(defaults).map(([name, fallback]) => {
      if (!given.has(name)) return [name, fallback];
      if (Array.isArray(fallback)) return [name, given.getAll(name).filter(Boolean)];
      if (typeof fallback === "boolean") return [name, ["1", "true"].includes(given.get(name))];
      return [name, given.get(name)];
    }),
  );
}

/** The names in the address that a page with these defaults does not know. */
export function unknownNames(defaults, search = location.search) {
  return [...new Set(new URLSearchParams(search).keys())].filter((name) => !Object.hasOwn(defaults, name));
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
