// State that can be shared: it lives in the query string, and only what differs from the default stands there.

/** Read the parameters named in `defaults`; arrays are repeated parameters, booleans are "1". */
export function readState(defaults, search = location.search) {
  const given = new URLSearchParams(search);
  return Object.fromEntries(
    Object.entries(defaults).map(([name, fallback]) => {
      if (!given.has(name)) return [name, fallback];
      if (Array.isArray(fallback)) return [name, given.getAll(name).filter(Boolean)];
      if (typeof fallback === "boolean") return [name, given.get(name) === "1"];
      return [name, given.get(name)];
    }),
  );
}

/** Put the state into the address without a step in the history. */
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

/** The start of a range such as "24h" as an ISO time, cut to ten seconds so that answers can be cached; null for "all". */
export function rangeStart(range, now = Date.now()) {
  const seconds = RANGES[range];
  return seconds ? new Date(Math.floor(now / 10_000) * 10_000 - seconds * 1000).toISOString() : null;
}
