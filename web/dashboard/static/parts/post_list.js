// The post list. It is bounded and live. While somebody reads it, new posts wait behind a button instead of pushing the
// rows down.
import { h, setText } from "../dom.js";
import { plural } from "../format.js";
import { button } from "./form.js";
import { afterObservation } from "./observation.js";
import { postRow } from "./post.js";

// More rows would make scrolling and live updates slow on a phone. The cursor brings back rows that had to go.
const MOST_ROWS = 300;
const MOST_WAITING = 200;
const TOP_PX = 120;

/** A list of posts in their order, the newest on top when posts come in live. */
export class PostList {
  #rows = new Map();
  #waiting = new Map();
  #list = h("ol", { "aria-label": "Posts" });
  #pill = button("", "primary small new-posts", () => this.#jumpToNew(), { hidden: true });

  constructor() {
    this.element = h("div", { class: "post-list" }, this.#pill, this.#list);
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

  /** Add older posts at the bottom. When there are too many rows, rows at the top go. */
  append(posts) {
    this.#list.append(...this.#rowsFor(posts));
    this.#trim(false);
  }

  /** Update the rows of these posts. Returns the posts that have no row. */
  update(posts) {
    return posts.filter((post) => {
      const row = this.#rows.get(post.id);
      row?.update(post);
      if (this.#waiting.has(post.id)) this.#wait(post);
      return !row;
    });
  }

  /** Take these posts out: they were taken away. */
  remove(ids) {
    for (const id of ids) {
      this.#rows.get(id)?.element.remove();
      this.#rows.delete(id);
      this.#waiting.delete(id);
    }
    if (!this.#pill.hidden) this.#showPill();
  }

  /**
   * Add new posts, the newest last, at the top: at once, or when the reader asks for them if the list is being read.
   */
  offer(posts) {
    for (const post of posts) this.#wait(post);
    while (this.#waiting.size > MOST_WAITING) this.#waiting.delete(this.#waiting.keys().next().value);
    if (this.#isRead()) this.#showPill();
    else this.#showWaiting();
  }

  #wait(post) {
    this.#waiting.set(post.id, afterObservation(this.#waiting.get(post.id), post));
  }

  /** Move the posts that wait to the top of the list. */
  #showWaiting() {
    const posts = [...this.#waiting.values()].sort((a, b) => b.created_utc.localeCompare(a.created_utc));
    this.#forgetWaiting();
    const fresh = this.#rowsFor(posts);
    for (const row of fresh) row.classList.add("fresh");
    this.#list.prepend(...fresh);
    this.#trim(true);
  }

  #jumpToNew() {
    this.#showWaiting();
    scrollTo({ top: 0 });
    this.#list.querySelector("a")?.focus({ preventScroll: true });
  }

  /** Whether somebody reads the list: its top is scrolled away, or it has the pointer, the focus or a selection. */
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

  #rowsFor(posts) {
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
