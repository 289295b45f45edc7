// The live stream: one socket for the whole dashboard, which comes back by itself and misses nothing that Kafka still has.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
// The server sends a heartbeat every so often; a socket that is silent for two of them is a dead one.
const HEARTBEATS = 2.5;
const REFUSED_AFTER_TRIES = 2;
// What the stream brought may take this long to be in the lists of the API: a page that has just been opened asks for it here.
const STORED_AFTER_MS = 10_000;
const MOST_RECENT = 500;

/**
 * Events: "state" (detail: {state, since}), "posts" (detail: posts), "reset" (what was shown may have holes: load it anew),
 * "refused" (the server turns us away before a frame comes: perhaps nobody is signed in any more).
 * States: connecting, live, stale (the server itself waits for Kafka) and reconnecting, both with `since`: when the numbers stopped
 * being fresh; off.
 */
export class Live extends EventTarget {
  state = "off";
  since = null;
  #socket = null;
  #token = null;
  #waits = 0;
  #timer = 0;
  #watchdog = 0;
  #filter = {};
  #silentAfterMs = 60_000;
  #recent = new Map();

  /** Connect, and stay connected; a heartbeat is due every so many seconds. */
  start(heartbeatSeconds) {
    this.#silentAfterMs = heartbeatSeconds * HEARTBEATS * 1000;
    if (this.state !== "off") return;
    this.#become("connecting");
    this.#open();
    addEventListener("online", this.#now);
  }

  /** Close, and stay closed. */
  stop() {
    removeEventListener("online", this.#now);
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.state = "off";
    this.#socket?.close();
  }

  /** What the server should send: {subreddits, trending, min_score, keywords, ids}; empty: everything. */
  filter(filter) {
    this.#filter = filter;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#sendFilter();
  }

  /** The newest observation of each post that came in the last seconds, oldest first. */
  recent() {
    const since = Date.now() - STORED_AFTER_MS;
    return [...this.#recent.values()].filter(({ at }) => at > since).map(({ post }) => post);
  }

  #remember(posts) {
    for (const post of posts) {
      this.#recent.delete(post.id);
      this.#recent.set(post.id, { post, at: Date.now() });
    }
    while (this.#recent.size > MOST_RECENT) this.#recent.delete(this.#recent.keys().next().value);
  }

  #sendFilter() {
    this.#socket.send(JSON.stringify({ type: "filter", ...this.#filter }));
  }

  #now = () => {
    // Until its first frame comes, a socket that connects is "reconnecting" as well: it is the one to wait for.
    if (this.state !== "reconnecting" || this.#socket) return;
    clearTimeout(this.#timer);
    this.#open();
  };

  #open() {
    const address = new URL("/ws/posts/", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    if (this.#token) address.searchParams.set("since", this.#token);
    const socket = new WebSocket(address);
    this.#socket = socket;
    this.#watch(socket);
    socket.addEventListener("open", () => {
      if (Object.keys(this.#filter).length) this.#sendFilter();
    });
    socket.addEventListener("message", ({ data }) => {
      this.#watch(socket);
      this.#take(JSON.parse(data));
    });
    socket.addEventListener("close", () => {
      if (socket === this.#socket && this.state !== "off") this.#again();
    });
  }

  #watch(socket) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      socket.close();
      if (socket === this.#socket && this.state !== "off") this.#again();
    }, this.#silentAfterMs);
  }

  #again() {
    this.#socket = null;
    clearTimeout(this.#watchdog);
    if (this.state !== "reconnecting") this.#become("reconnecting", new Date());
    // Jitter, so that all dashboards do not come back in the same instant.
    if (this.#waits === REFUSED_AFTER_TRIES) this.dispatchEvent(new Event("refused"));
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#waits++) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  #take(frame) {
    if (frame.id) this.#token = frame.id;
    if (frame.type === "error") return; // a filter that was refused, or the reason for the close that follows
    this.#waits = 0;
    const stale = frame.type === "heartbeat" && frame.stale_since ? new Date(frame.stale_since) : null;
    if (stale) {
      if (this.state !== "stale") this.#become("stale", stale);
    } else if (this.state !== "live") this.#become("live");
    if (frame.type === "posts") {
      this.#remember(frame.posts);
      this.dispatchEvent(new CustomEvent("posts", { detail: frame.posts }));
    } else if (frame.type === "reset") this.dispatchEvent(new CustomEvent("reset", { detail: frame.reason }));
  }

  #become(state, since = null) {
    this.state = state;
    this.since = since;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, since } }));
  }
}
