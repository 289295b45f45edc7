// The list of posts: bounded, live, and calm: while somebody reads, new posts wait behind a pill instead of pushing the text away.
import { h, setText } from "../dom.js";
import { plural } from "../format.js";
import { postRow } from "./post.js";

// More rows than this make scrolling and live updates slow on a phone; the cursor brings older ones again.
const MOST_ROWS = 300;
const MOST_WAITING = 200;
const TOP_PX = 120;

export class Feed {
  #rows = new Map();
  #waiting = new Map();
  #list = h("ol", { class: "feed", "aria-label": "Posts" });
  #pill = h("button", { class: "button primary small new-posts", type: "button", hidden: true });

  constructor() {
    this.element = h("div", { class: "feed-box" }, this.#pill, this.#list);
    this.#pill.addEventListener("click", () => {
      this.showWaiting();
      scrollTo({ top: 0 });
      this.#list.querySelector("a")?.focus({ preventScroll: true });
    });
  }

  get size() {
    return this.#rows.size;
  }

  /** Show exactly these posts. */
  replace(posts) {
    this.#rows.clear();
    this.#forgetWaiting();
    this.#list.replaceChildren();
    this.append(posts);
  }

  /** Show these below the others; those on top make room when there are too many. */
  append(posts) {
    this.#list.append(...this.#made(posts));
    this.#trim(false);
  }

  /** Take newer numbers of posts that are shown. Returns the posts that are not. */
  update(posts) {
    return posts.filter((post) => {
      const row = this.#rows.get(post.id);
      row?.update(post);
      if (this.#waiting.has(post.id)) this.#waiting.set(post.id, post);
      return !row;
    });
  }

  /** New posts for the top, newest last: shown at once when nobody would be disturbed, else behind the pill. */
  offer(posts) {
    for (const post of posts) this.#waiting.set(post.id, post);
    while (this.#waiting.size > MOST_WAITING) this.#waiting.delete(this.#waiting.keys().next().value);
    if (this.#isRead()) this.#showPill();
    else this.showWaiting();
  }

  /** Put the posts that wait on top. */
  showWaiting() {
    const posts = [...this.#waiting.values()].sort((a, b) => b.created_utc.localeCompare(a.created_utc));
    this.#forgetWaiting();
    const fresh = this.#made(posts);
    for (const row of fresh) row.classList.add("fresh");
    this.#list.prepend(...fresh);
    this.#trim(true);
  }

  #isRead() {
    return (
      scrollY > TOP_PX ||
      this.#list.matches(":hover") ||
      this.#list.contains(document.activeElement) ||
      !getSelection().isCollapsed
    );
  }

  #showPill() {
    this.#pill.hidden = this.#waiting.size === 0;
    setText(this.#pill, `↑ ${plural(this.#waiting.size, "new post", "new posts")}`);
  }

  #forgetWaiting() {
    this.#waiting.clear();
    this.#pill.hidden = true;
  }

  #made(posts) {
    return posts
      .filter(({ id }) => !this.#rows.has(id))
      .map((post) => {
        const row = postRow(post);
        this.#rows.set(post.id, row);
        return row.element;
      });
  }

  #trim(fromBelow) {
    while (this.#rows.size > MOST_ROWS) {
      const gone = fromBelow ? this.#list.lastElementChild : this.#list.firstElementChild;
      this.#rows.delete(gone.dataset.id);
      gone.remove();
    }
  }
}
