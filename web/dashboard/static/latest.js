// Loads whose late answers are dropped, and the timer that repeats a load.

/**
 * The loads of one thing on a page. The newest load wins: an answer is dropped when a newer load has begun meanwhile,
 * or when the page was left.
 */
export class Latest {
  #signal;
  #asked = 0;
  #answered = 0;

  /** @param {AbortSignal} signal aborts when the page is left */
  constructor(signal) {
    this.#signal = signal;
  }

  /** Whether the newest load still waits for its answer. */
  get isWaiting() {
    return this.#asked !== this.#answered;
  }

  /**
   * Begin a load in place of the ones before it. Resolves when its answer, or its error, is shown or dropped.
   * @param {{ask: (signal: AbortSignal) => Promise, show: (answer: any) => void, fail: (error: Error) => void}} steps
   *   `fail` gets what `ask` or `show` throws
   */
  async load(steps) {
    const load = ++this.#asked;
    await this.#run(load, steps);
    if (load === this.#asked) this.#answered = load;
  }

  /** Load more of what the newest load brought, by the same steps. The answer is dropped when a new load begins. */
  more(steps) {
    return this.#run(this.#asked, steps);
  }

  async #run(load, { ask, show, fail }) {
    const isLate = () => this.#signal.aborted || load !== this.#asked;
    try {
      const answer = await ask(this.#signal);
      if (!isLate()) show(answer);
    } catch (error) {
      if (!isLate()) fail(error);
    }
  }

  /**
   * Call `load` at an interval until the page is left, unless the page is hidden, its reader is busy, or an answer is
   * awaited: a load that takes longer than the interval would be overtaken each time.
   */
  repeat(load, intervalMs, isBusy = () => false) {
    const timer = setInterval(() => {
      if (!document.hidden && !this.isWaiting && !isBusy()) load();
    }, intervalMs);
    this.#signal.addEventListener("abort", () => clearInterval(timer));
  }
}
