// Names of subreddits and accounts, as people type them or copy them from an address.
const PREFIX = /^(?:(?:https?:\/\/)?(?:[a-z]+\.)?reddit\.com)?\/?(r|u|user)\//i;

/** What stands before a name, as "r" or "u", and the name. Without a prefix the text is the name. */
function partsOf(text) {
  const written = text.trim();
  const [prefix, kind] = PREFIX.exec(written) ?? ["", ""];
  const name = written.slice(prefix.length).replace(/[/?#].*$/, "");
  return [kind.toLowerCase().charAt(0), name.replace(/^@/, "")];
}

/** The name of a subreddit without r/; the subreddit of an account is called u_name. */
export function subredditName(text) {
  const [kind, name] = partsOf(text);
  return kind === "u" ? `u_${name}` : name;
}

/** The name of an account without u/. */
export const accountName = (text) => partsOf(text)[1];
