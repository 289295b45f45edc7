// Boot: who is signed in, the bar on top, the live stream, and which page stands in <main>.
import * as api from "./api.js";
import { announce, h, icon, setText, toast } from "./dom.js";
import { clockTime } from "./format.js";
import { Live } from "./live.js";
import { errorNotice } from "./parts/states.js";
import { themeSwitch } from "./parts/theme.js";

const ROUTES = [
  { path: /^\/$/, name: "now", title: "Now", load: () => import("./pages/now.js") },
  { path: /^\/posts\/([0-9a-z]{1,13})\/?$/, name: "post", title: "Post", load: () => import("./pages/post.js") },
  { path: /^\/analytics\/?$/, name: "analytics", title: "Analytics", load: () => import("./pages/analytics.js") },
  { path: /^\/subreddits\/?$/, name: "subreddits", title: "Subreddits", load: () => import("./pages/subreddits.js") },
  { path: /^\/operations\/?$/, name: "operations", title: "Operations", load: () => import("./pages/operations.js") },
];
const TABS = [
  ["/", "now", "Now"],
  ["/analytics", "analytics", "Analytics"],
  ["/subreddits", "subreddits", "Subreddits"],
  ["/operations", "operations", "Operations"],
];

const live = new Live();
const main = document.getElementById("main");
const context = { live, session: null, about: null, navigate };
let leave = null;
let shown = null;
let failed = false;

/** Go to a path of the dashboard without a reload. */
function navigate(path) {
  history.pushState(null, "", path);
  show(true);
}

async function show(moved = false) {
  const route = ROUTES.find(({ path }) => path.test(location.pathname));
  leave?.abort();
  leave = new AbortController();
  const { signal } = leave;
  for (const tab of document.querySelectorAll(".tabs a")) {
    if (tab.dataset.name === route?.name) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (!route) {
    main.replaceChildren(
      h(
        "div",
        { class: "empty" },
        h("strong", {}, "There is no such page"),
        h("a", { href: "/" }, "Go to what happens now"),
      ),
    );
    return;
  }
  document.title = `${route.title} · signalflow`;
  const root = h("div", { class: `page ${route.name}` });
  failed = false;
  try {
    const page = await route.load().catch(() => Promise.reject(api.unreachable()));
    if (signal.aborted) return;
    main.replaceChildren(root);
    if (moved) {
      scrollTo(0, 0);
      main.focus({ preventScroll: true });
      announce(route.title);
    }
    shown = location.pathname;
    await page.mount(root, { ...context, signal, match: location.pathname.match(route.path) });
  } catch (error) {
    if (signal.aborted) return;
    failed = true;
    root.replaceChildren(errorNotice(error, () => show()));
    if (!root.isConnected) main.replaceChildren(root);
  }
}

function liveState() {
  const text = h("span", {}, "Offline");
  const pill = h("div", { class: "live", role: "status", "data-state": "off" }, text);
  live.addEventListener("state", ({ detail: { state, since } }) => {
    pill.dataset.state = state;
    const texts = {
      live: "Live",
      connecting: "Connecting",
      reconnecting: since && `Stale since ${clockTime(since)} · reconnecting`,
      stale: since && `Stale since ${clockTime(since)} · Kafka is away`,
    };
    setText(text, texts[state] ?? state);
    pill.title = text.textContent;
  });
  return pill;
}

function bar() {
  const tabs = TABS.map(([href, name, text]) => h("a", { href, "data-name": name }, icon(name), text));
  const { name, role } = context.session;
  document
    .getElementById("bar")
    .replaceChildren(
      h(
        "a",
        { class: "brand", href: "/", "aria-label": "signalflow, home" },
        icon("logo"),
        h("span", { class: "brand-name" }, "signalflow"),
      ),
      h("nav", { class: "tabs", "aria-label": "Pages" }, tabs),
      h(
        "div",
        { class: "bar-end" },
        liveState(),
        h("span", { class: "user", title: `Role: ${role}` }, name),
        themeSwitch(),
        h(
          "button",
          { class: "button plain icon", type: "button", title: "Sign out", "aria-label": "Sign out", onclick: signOut },
          icon("out"),
        ),
      ),
    );
}

async function signOut() {
  try {
    await api.remove("/api/session/");
    toSignIn();
  } catch (error) {
    // A 401 has led to the sign-in page; after anything else the session goes on, and whoever walks away must know.
    if (error.status !== 401) toast(`You are still signed in: ${error.title}`);
  }
}

function toSignIn() {
  live.stop();
  const here = location.pathname + location.search;
  location.assign(`/sign-in${api.query({ next: here === "/" ? null : here })}`);
}

function followLinks(event) {
  const link = event.target.closest?.("a[href^='/']");
  if (
    !link ||
    link.target ||
    event.defaultPrevented ||
    event.button ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey ||
    event.altKey
  )
    return;
  if (!ROUTES.some(({ path }) => path.test(link.pathname))) return;
  event.preventDefault();
  navigate(link.getAttribute("href"));
}

async function start() {
  api.whenSignedOut(toSignIn);
  try {
    context.session = await api.get("/api/session/");
    context.about = await api.get("/api/about/");
  } catch (error) {
    if (error.status !== 401) main.replaceChildren(errorNotice(error, start));
    return;
  }
  api.useCsrfToken(context.session.csrf_token);
  bar();
  document.addEventListener("click", followLinks);
  addEventListener("popstate", () => show(location.pathname !== shown));
  // A 401 there leads to the sign-in page; anything else is an API that restarts.
  live.addEventListener("refused", () => api.get("/api/session/").catch(() => null));
  live.addEventListener("state", ({ detail }) => failed && detail.state === "live" && show());
  live.start(context.about.live_heartbeat_seconds);
  await show();
}

start();
