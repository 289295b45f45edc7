// Files of the API that the browser saves.
import { query } from "./api.js";
import { h } from "./dom.js";

/** Save what the API answers. The page stays: the browser writes the file as it comes, and shows how far it is. */
export function download(path, parameters) {
  h("a", { href: `${path}${query(parameters)}`, download: "" }).click();
}
