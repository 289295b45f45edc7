// Calls of the REST API. Every answer but a success is thrown as a Problem, which says what to do.

/** What went wrong: the API's problem+json or, when there is none, what the browser knows. Status 0: no answer came. */
export class Problem extends Error {
  constructor(status, title, detail, errors = []) {
    super(detail);
    Object.assign(this, { status, title, detail, errors });
  }
}

/** The Problem for a request that got no answer at all. */
export const unreachable = () =>
  new Problem(0, "The API does not answer", "It may be restarting. This page tries again by itself when it is back.");

let csrf = null;
let onSignedOut = () => {};

/** Set the CSRF token that every writing request carries. */
export function useCsrfToken(token) {
  csrf = token;
}

/** Set what is called when an answer says that nobody is signed in any more. */
export function whenSignedOut(listener) {
  onSignedOut = listener;
}

/** The query string of parameters: null, undefined, false and "" are left out, arrays become repeated parameters. */
export function query(parameters) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "" && one !== false) search.append(name, one);
    }
  }
  const text = search.toString();
  return text && `?${text}`;
}

const TIMEOUT_MS = 15_000;

async function answerOf(method, path, { parameters, body, signal, headers = {} } = {}) {
  const sent = { Accept: "application/json", ...headers };
  if (body !== undefined && !(body instanceof Blob)) sent["Content-Type"] = "application/json";
  if (method !== "GET" && csrf) sent["X-CSRF-Token"] = csrf;
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let answer;
  try {
    answer = await fetch(path + query(parameters), {
      method,
      headers: sent,
      body: body === undefined || body instanceof Blob ? body : JSON.stringify(body),
      credentials: "same-origin",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
  if (answer.ok) return answer;
  if (answer.status === 401) onSignedOut();
  throw await problemOf(answer);
}

async function problemOf(answer) {
  try {
    const { title, detail, errors } = await answer.json();
    return new Problem(answer.status, title ?? answer.statusText, detail ?? "", errors);
  } catch {
    return new Problem(answer.status, `The API answered ${answer.status}`, "The log of the API says more.");
  }
}

/**
 * Make a request and return the JSON of its answer, its text when it is not JSON, or null for 204. Throws a Problem, or
 * an AbortError when `signal` aborts. `body` is sent as JSON unless it is a Blob.
 */
export async function call(method, path, options) {
  const answer = await answerOf(method, path, options);
  if (answer.status === 204) return null;
  return (answer.headers.get("content-type") ?? "").includes("json") ? answer.json() : answer.text();
}

export const get = (path, parameters, signal) => call("GET", path, { parameters, signal });
export const post = (path, body) => call("POST", path, { body });
export const patch = (path, body) => call("PATCH", path, { body });
export const remove = (path) => call("DELETE", path);

/** The first pages of a list: all of them, or at most `mostPages`. */
export async function firstPages(path, parameters, signal, mostPages = Number.POSITIVE_INFINITY) {
  const pages = [];
  let cursor = null;
  while (pages.length < mostPages && (pages.length === 0 || cursor)) {
    const page = await get(path, { ...parameters, cursor }, signal);
    pages.push(page);
    cursor = page.next;
  }
  return pages;
}

/** The items of a list, in one array. */
export async function itemsOfPages(path, parameters, signal) {
  const pages = await firstPages(path, parameters, signal);
  return pages.flatMap(({ items }) => items);
}
