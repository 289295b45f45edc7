// The live stream: one socket of posts for the whole dashboard, one of signals on the page Now, and one of comments on
// the page of a post. A socket reconnects by itself and resumes where it was, so that nothing is missed that Kafka
// still has.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
// A socket that brings nothing for so many heartbeats of the server is taken for dead: two heartbeats were missed.
const SILENT_HEARTBEATS = 2.5;
const REFUSED_AFTER_TRIES = 2;
// A post may take this long from the stream to the API's lists. A page that opens meanwhile takes it from `recent`.
const STORED_AFTER_MS = 10_000;
const MOST_RECENT = 500;
// The protocol has no message that stops the posts. No post of Reddit has the id 0, so this filter lets none pass.
const NO_POSTS = { id: ["0"] };

/**
 * A client of the live stream, of `kind` "posts", "comments" or "signals". Its events:
 * - "state", with the detail {state, since}. The states are off, connecting, live, reconnecting, and stale: the server
 *   cannot reach Kafka. For the last two, `since` is when the numbers stopped being fresh.
 * - the kind, with the newest observations of posts or comments, or the newest states of signals, as detail.
 * - "retract", with the ids of those that were taken away: nothing that their authors wrote may be shown any more.
 * - "reset": observations were missed, so what is shown must be loaded again.
 * - "refused": the server closes each connection before a frame comes. Perhaps nobody is signed in any more.
 */
export class Live extends EventTarget {
  state = "off";
  since = null;
  #kind;
  #socket = null;
  #token = null;
  #tries = 0;
  #timer = 0;
  #silence = 0;
  #filter = {};
  #silentAfterMs = 60_000;
  #recent = new Map();

  constructor(kind) {
    super();
    this.#kind = kind;
  }

  /** Connect, and reconnect whenever the connection breaks. The server sends a heartbeat every `heartbeatSeconds`. */
  start(heartbeatSeconds) {
    this.#silentAfterMs = heartbeatSeconds * SILENT_HEARTBEATS * 1000;
    if (this.state !== "off") return;
    this.#become("connecting");
    this.#open();
    addEventListener("online", this.#reconnectNow);
  }

  /** Close the connection for good. */
  stop() {
    removeEventListener("online", this.#reconnectNow);
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.state = "off";
    this.#socket?.close();
  }

  /**
   * Ask the server for what matches: posts by {subreddit, author, keyword, min_score, trending, id}, comments by
   * {subreddit, author, post_id}, signals by {kind, subreddit, min_strength}. Ends a pause.
   */
  filter(filter) {
    this.#filter = filter;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#sendFilter();
  }

  /** Ask the server for no posts until the next call of `filter`. For a page that shows nothing live. */
  pause() {
    this.filter(NO_POSTS);
  }

  /** The newest observation of each that came in the last ten seconds, in the order of arrival. */
  recent() {
    const since = Date.now() - STORED_AFTER_MS;
    return [...this.#recent.values()].filter(({ at }) => at > since).map(({ one }) => one);
  }

  #remember(observed) {
    for (const one of observed) {
      this.#recent.delete(one.id);
      this.#recent.set(one.id, { one, at: Date.now() });
    }
    while (this.#recent.size > MOST_RECENT) this.#recent.delete(this.#recent.keys().next().value);
  }

  #sendFilter() {
    this.#socket.send(JSON.stringify({ type: "filter", ...this.#filter }));
  }

  #reconnectNow = () => {
    // A new socket stays "reconnecting" until its first frame comes, so there may be one already.
    if (this.state !== "reconnecting" || this.#socket) return;
    clearTimeout(this.#timer);
    this.#open();
  };

  #open() {
    const address = new URL(`/ws/${this.#kind}/`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    if (this.#token) address.searchParams.set("since", this.#token);
    const socket = new WebSocket(address);
    this.#socket = socket;
    this.#expectFrame(socket);
    socket.addEventListener("open", () => {
      if (Object.keys(this.#filter).length) this.#sendFilter();
    });
    socket.addEventListener("message", ({ data }) => {
      this.#expectFrame(socket);
      this.#receive(JSON.parse(data));
    });
    socket.addEventListener("close", () => {
      if (socket === this.#socket && this.state !== "off") this.#reconnectLater();
    });
  }

  #expectFrame(socket) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      socket.close();
      if (socket === this.#socket && this.state !== "off") this.#reconnectLater();
    }, this.#silentAfterMs);
  }

  #reconnectLater() {
    this.#socket = null;
    clearTimeout(this.#silence);
    if (this.state !== "reconnecting") this.#become("reconnecting", new Date());
    if (this.#tries === REFUSED_AFTER_TRIES) this.dispatchEvent(new Event("refused"));
    // Jitter: not all dashboards reconnect at the same instant after a restart of the server.
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries++) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  #receive(frame) {
    if (frame.id) this.#token = frame.id;
    if (frame.type === "error") return; // A filter was refused, or this is the reason for the close that follows.
    this.#tries = 0;
    const stale = frame.type === "heartbeat" && frame.stale_since ? new Date(frame.stale_since) : null;
    if (stale) {
      if (this.state !== "stale") this.#become("stale", stale);
    } else if (this.state !== "live") this.#become("live");
    if (frame.type === this.#kind) {
      const observed = frame[this.#kind];
      this.#remember(observed);
      if (observed.length) this.dispatchEvent(new CustomEvent(this.#kind, { detail: observed }));
      const gone = frame.retract ?? [];
      for (const id of gone) this.#recent.delete(id);
      if (gone.length) this.dispatchEvent(new CustomEvent("retract", { detail: gone }));
    } else if (frame.type === "reset") this.dispatchEvent(new CustomEvent("reset", { detail: frame.reason }));
  }

  #become(state, since = null) {
    this.state = state;
    this.since = since;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, since } }));
  }
}
