// The words of a search, as PostgreSQL's web search reads them: terms, "phrases", `or` between alternatives, -without.

/** The alternatives of a search. Each is a list of terms {text, without}, all of which a text must meet. */
function alternativesOf(search) {
  const found = [[]];
  for (const [, minus, phrase, word] of search.toLowerCase().matchAll(/(-?)(?:"([^"]*)"?|([^\s"]+))/g)) {
    if (word === "or" && !minus) found.push([]);
    else {
      const text = (phrase ?? word).trim();
      if (/[\p{L}\p{N}]/u.test(text)) found.at(-1).push({ text, without: minus === "-" });
    }
  }
  return found.filter((terms) => terms.length);
}

/**
 * Whether a text meets a search. Other than the API, which also compares stems, this looks for pieces of the text; and
 * like the API it takes a search without words for one piece.
 */
export function meets(text, search) {
  const alternatives = alternativesOf(search);
  const lower = text.toLowerCase();
  if (alternatives.length === 0) return lower.includes(search.trim().toLowerCase());
  return alternatives.some((terms) => terms.every(({ text: part, without }) => lower.includes(part) !== without));
}
