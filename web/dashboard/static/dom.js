// Elements of the page. A string always becomes text: no module of the dashboard parses a string as HTML.
const SVG = "http://www.w3.org/2000/svg";

const PROPERTIES = new Set(["value", "checked", "disabled", "selected"]);
const isMissing = (value) => value === null || value === undefined || value === false;

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (isMissing(value)) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => !isMissing(child)));
  return element;
}

/**
 * An HTML element with attributes (`on...` are listeners) and children (lists are flattened, strings become text).
 * Attributes and children that are null, undefined or false are left out.
 */
export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);

/** An SVG element, made like an HTML element by `h`. */
export const s = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

/** Set the text of an element unless it is the same: an unchanged text is not announced again and stays selected. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Replace what is in a container. When the focus was on an element with `data-focus`, its successor with the same
 * `data-focus` gets the focus, so that a refresh does not throw a reader who uses the keyboard out of the list.
 */
export function replaceKeepingFocus(container, ...children) {
  const focused = document.activeElement?.dataset?.focus;
  container.replaceChildren(...children);
  if (focused) focusOn(container, focused);
}

/** Put the focus on the element of a container that has this `data-focus`, if there is one. */
export function focusOn(container, name) {
  container.querySelector(`[data-focus="${CSS.escape(name)}"]`)?.focus({ preventScroll: true });
}

// Reddit gives addresses of its own pages as paths, for example the addresses of crossposts.
const REDDIT = "https://www.reddit.com";
// What exports and people leave out: the scheme before a host, as in example.org/x, or slashes after the scheme.
const HOST = /^(?!self\.)[\p{L}\p{N}_-]+(?:\.[\p{L}\p{N}_-]+)*\.\p{L}{2,}(?::\d+)?(?:[/?#]|$)/u;
const SCHEME = /^(https?):[\\/]*(?=[^\\/])/i;

/** Where an address of a post leads to; null when no link may lead there, because it is not http(s). */
export function outwardAddress(address) {
  if (typeof address !== "string" || address === "") return null;
  const written = address.trim();
  const whole = HOST.test(written) ? `https://${written}` : written.replace(SCHEME, "$1://");
  try {
    const { protocol, href } = new URL(whole, REDDIT);
    return protocol === "http:" || protocol === "https:" ? href : null;
  } catch {
    return null;
  }
}

/** A link that leaves the dashboard, or plain text when no link may lead to the address. */
export function outward(address, ...children) {
  const href = outwardAddress(address);
  return href
    ? h("a", { href, rel: "noopener noreferrer nofollow", target: "_blank" }, ...children)
    : h("span", {}, ...children);
}

/**
 * A region that scrolls sideways, by keyboard too. Keep the region and replace its content: a new region would lose the
 * focus and begin at the left again.
 */
export const scrollRegion = (label, ...children) =>
  h("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": label }, ...children);

const PATHS = {
  now: "M2.5 13.5 6 9.5l2.5 2L13.5 4M10 3.5h4v4",
  alerts: "M8 2a4 4 0 0 0-4 4v3l-1.500 2.500h11L12 9V6a4 4 0 0 0-4-4ZM6.500 13.500h3",
  analytics: "M2.5 2.5v11h11M5.5 11V8M8.5 11V5M11.5 11V6.5",
  subreddits: "M3 4h10M3 8h10M3 12h6",
  operations: "M1.5 8h3l2-5 3 10 2-5h3",
  docs: "M4 2h6l3 3v9H4ZM6.500 7.500h4M6.500 10.500h4",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13.5 9.5A6 6 0 0 1 6.5 2.500 6 6 0 1 0 13.500 9.500Z",
  system: "M2 3h12v8H2ZM6 14h4M8 11v3",
  filter: "M2 4h12M4 8h8M6.500 12h3",
  save: "M8 2v8M4.500 6.500 8 10l3.500-3.500M2.500 13.500h11",
  share: "M10 3h3v3M13 3 8 8M7 4H3v9h9V9",
  out: "M6 3H3v10h3M10 5l3 3-3 3M13 8H6",
  logo: "M1.500 12 5 8l3 2.500L14.500 3",
};

/** A small drawing. It only decorates, so the text beside it must say the same. */
export const icon = (name) =>
  s(
    "svg",
    { viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    s("path", {
      d: PATHS[name],
      fill: "none",
      stroke: "currentColor",
      "stroke-width": "1.6",
      "stroke-linecap": "round",
      "stroke-linejoin": "round",
    }),
  );

/** Have a screen reader say this once. */
export function announce(text) {
  setText(document.getElementById("announcer"), text);
}

let toastTimer;

/** Show a short message for six seconds, and have a screen reader say it. */
export function toast(text) {
  document.querySelector(".toast")?.remove();
  document.body.append(h("div", { class: "toast" }, text));
  announce(text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => document.querySelector(".toast")?.remove(), 6000);
}
