// Puts fresh lists in place every few seconds, as long as somebody looks. The server has escaped all of their text.
const EVERY_MS = 3000;
const lists = document.getElementById("lists");
const state = document.getElementById("state");
let updatedAt = new Date();

function show(text, stale) {
  state.textContent = text;
  state.classList.toggle("stale", stale);
}

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/lists", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(answer.status === 503 ? "the database is away" : `the API answered ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    // A reader who selects text or walks by keyboard keeps what they look at until they are done.
    if (lists.contains(document.activeElement) || !getSelection().isCollapsed) return show("paused while you read", false);
    lists.replaceChildren(...fresh.body.childNodes);
    updatedAt = new Date();
    show(`live, updated ${updatedAt.toLocaleTimeString()}`, false);
  } catch (error) {
    const reason = error instanceof TypeError || error.name === "TimeoutError" ? "the API does not answer" : error.message;
    show(`stale since ${updatedAt.toLocaleTimeString()}: ${reason}; trying again`, true);
  }
}

async function run() {
  await refresh();
  setTimeout(run, EVERY_MS);
}

document.addEventListener("visibilitychange", refresh);
run();
