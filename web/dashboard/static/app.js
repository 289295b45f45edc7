// The start of the dashboard: who is signed in, the bar on top, the live stream, and which page is shown in <main>.
import * as api from "./api.js";
import { announce, h, icon, setText, toast } from "./dom.js";
import { absoluteTime, clockTime } from "./format.js";
import { Latest } from "./latest.js";
import { Live } from "./live.js";
import { button } from "./parts/form.js";
import { emptyState, errorNotice, unknownNotice } from "./parts/states.js";
import { themeSwitch } from "./parts/theme.js";

// The pages. Each is a module of its name, which exports `mount` and, if its address has filters, their `DEFAULTS`, and
// the `VALUES` of those that are a choice.
// Those with a `tab` stand in the bar.
const ROUTES = [
  { name: "now", title: "Now", path: /^\/$/, tab: "/" },
  { name: "signals", title: "Signals", path: /^\/signals\/?$/ },
  { name: "topics", title: "Stories", path: /^\/topics\/?$/ },
  { name: "topic", title: "Story", path: /^\/topics\/([0-9A-Za-z_]{1,64})\/?$/ },
  { name: "digest", title: "Digest", path: /^\/digest\/?$/ },
  { name: "post", title: "Post", path: /^\/posts\/([0-9a-z]{1,13})\/?$/ },
  { name: "alerts", title: "Alerts", path: /^\/alerts\/?$/, tab: "/alerts" },
  { name: "analytics", title: "Analytics", path: /^\/analytics\/?$/, tab: "/analytics" },
  { name: "subreddits", title: "Subreddits", path: /^\/subreddits\/?$/, tab: "/subreddits" },
  { name: "operations", title: "Operations", path: /^\/operations\/?$/, tab: "/operations" },
  { name: "docs", title: "API", path: /^\/docs\/?$/, tab: "/docs" },
];

const live = new Live("posts");
const main = document.getElementById("main");
const context = { live, session: null, about: null };
// Aborts when the page that is shown is left.
let leave = null;
let shownPath = null;
let hasFailed = false;
const READY_MS = 10_000;

/** Show another page of the dashboard without a reload. */
function navigate(path) {
  history.pushState(null, "", path);
  show(true);
}

/** Show the page of the address. When the reader `moved` here from another page, scroll to the top and announce it. */
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
    main.replaceChildren(emptyState("There is no such page", h("a", { href: "/" }, "Go to what happens now")));
    return;
  }
  document.title = `${route.title} · signalflow`;
  const root = h("div", { class: `page ${route.name}` });
  hasFailed = false;
  // At once: the skip link changes the address within the page, and would count as a move while the page is loading.
  shownPath = location.pathname;
  try {
    const page = await import(`./pages/${route.name}.js`).catch(() => Promise.reject(api.unreachable()));
    if (signal.aborted) return;
    main.replaceChildren(...[unknownNotice(page.DEFAULTS ?? {}, page.VALUES ?? {}), root].filter(Boolean));
    if (moved) {
      scrollTo(0, 0);
      main.focus({ preventScroll: true });
      announce(route.title);
    }
    await page.mount(root, { ...context, signal, match: location.pathname.match(route.path) });
  } catch (error) {
    if (signal.aborted) return;
    hasFailed = true;
    root.replaceChildren(errorNotice(error, () => show()));
    if (!root.isConnected) main.replaceChildren(root);
  }
}

/** The pill that says whether the numbers are live. */
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

/** What stands above each page while Reddit answers nothing: the live stream is live then, and brings nothing new. */
function standstillNotice() {
  const [title, advice] = [h("strong"), h("span")];
  const box = h("div", { class: "notice warn" }, title, advice);
  const notice = h("div", { class: "above", role: "status", hidden: true }, box);
  const loads = new Latest(new AbortController().signal);
  const load = () =>
    loads.load({
      ask: (signal) => api.get("/ready", {}, signal),
      show({ reddit_answers_nothing: standstill }) {
        notice.hidden = !standstill;
        if (!standstill) return;
        setText(title, `Reddit has answered nothing since ${absoluteTime(standstill.since)} (${standstill.reason})`);
        setText(advice, standstill.what_to_do);
      },
      // An API that is away or not ready knows nothing of Reddit. The pill and the pages tell of that.
      fail: () => {},
    });
  loads.repeat(load, READY_MS);
  load();
  return notice;
}

function showBar() {
  const tabs = ROUTES.filter(({ tab }) => tab).map(({ tab, name, title }) =>
    h("a", { href: tab, "data-name": name }, icon(name), title),
  );
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
        button(icon("out"), "plain icon", signOut, { title: "Sign out", "aria-label": "Sign out" }),
      ),
    );
}

async function signOut() {
  try {
    await api.remove("/api/session/");
    toSignIn();
  } catch (error) {
    // A 401 has already led to the sign-in page. After any other error the session goes on, and the user must know.
    if (error.status !== 401) toast(`You are still signed in: ${error.title}`);
  }
}

function toSignIn() {
  live.stop();
  const here = location.pathname + location.search;
  location.assign(`/sign-in${api.query({ next: here === "/" ? null : here })}`);
}

/** Open a link to a page of the dashboard without a reload, unless the click asks for a new tab or a download. */
function followLink(event) {
  const link = event.target.closest?.("a[href^='/']");
  const isPlainClick = !(event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || link.target || event.defaultPrevented || !isPlainClick) return;
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
  showBar();
  main.before(standstillNotice());
  document.addEventListener("click", followLink);
  addEventListener("popstate", () => show(location.pathname !== shownPath));
  // A 401 leads to the sign-in page. Any other answer means that the API restarts, and needs nothing.
  live.addEventListener("refused", () => api.get("/api/session/").catch(() => null));
  live.addEventListener("state", ({ detail }) => hasFailed && detail.state === "live" && show());
  live.start(context.about.live_heartbeat_seconds);
  await show();
}

start();
