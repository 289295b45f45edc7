// The REST API. Every answer that is not a success becomes a Problem that says what to do.

/** What went wrong, by the API's problem+json or, when none came, by what the browser knows. */
export class Problem extends Error {
  constructor(status, title, detail, errors = []) {
    super(detail);
    Object.assign(this, { status, title, detail, errors });
  }
}

/** What it means when nothing comes back at all. */
export const unreachable = () =>
  new Problem(0, "The API does not answer", "It may be restarting. This page tries again by itself when it is back.");

let csrf = null;
let onSignedOut = () => {};

/** Remember the token that writes must carry. */
export function useCsrfToken(token) {
  csrf = token;
}

/** Call this when an answer says that nobody is signed in any more. */
export function whenSignedOut(listener) {
  onSignedOut = listener;
}

/** Query parameters; null, undefined and "" are left out, arrays repeat. */
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

async function answerOf(method, path, { parameters, body, signal, headers = {}, quiet = false } = {}) {
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
  if (answer.status === 401 && !quiet) onSignedOut();
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

/** The JSON of an answer, or null when it has none. Raises Problem. */
export async function call(method, path, options) {
  const answer = await answerOf(method, path, options);
  if (answer.status === 204) return null;
  return (answer.headers.get("content-type") ?? "").includes("json") ? answer.json() : answer.text();
}

export const get = (path, parameters, signal) => call("GET", path, { parameters, signal });
export const post = (path, body) => call("POST", path, { body });
export const patch = (path, body) => call("PATCH", path, { body });
export const remove = (path) => call("DELETE", path);
