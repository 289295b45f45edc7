// The words of a search, as PostgreSQL's web search reads them: terms, "phrases", `or` between alternatives, -without.
// signalflow/domain/search.py decides the same way for the live stream, and has the reasons.

// Scripts without spaces: each character is a word. The ranges are the same as in signalflow/domain/search.py.
const UNSPACED =
  "\\u0e00-\\u0eff\\u1000-\\u109f\\u1780-\\u17ff\\u2600-\\u27bf\\u3005-\\u3007\\u3040-\\u30ff\\u3400-\\u4dbf" +
  "\\u4e00-\\u9fff\\uac00-\\ud7af\\uf900-\\ufaff\\u{1f000}-\\u{1faff}\\u{20000}-\\u{3134f}";
const WORD = new RegExp(`[${UNSPACED}]|(?:(?![${UNSPACED}])[\\p{L}\\p{N}_])+`, "gu");
const SHORTEST_BEGINNING = 3;

// What folding changes, as in signalflow/domain/search.py.
const SIGNS = /[\u00aa\u00b2\u00b3\u00b9\u00ba\u2070-\u209f\u2100-\u214f]/g;
const INVISIBLE = /\u200d|[\u00ad\u200b\u200c\u2060\ufeff]|[\ufe00-\ufe0f]/g;
const ACCENTS = /(?<=[A-Za-z\u0370-\u03ff])[\u0300-\u036f]+/g;
const LETTERS = { ø: "o", ł: "l", đ: "d", ı: "i", ς: "σ", ß: "ss", æ: "ae", œ: "oe" };
for (const mark of "\u2018\u2019\u02bc") LETTERS[mark] = "'";
for (const mark of "\u201c\u201d\u201e") LETTERS[mark] = '"';
const OTHER_LETTERS = new RegExp(`[${Object.keys(LETTERS).join("")}]`, "g");

/** A text in small letters, without accents, invisible characters, and forms of letters and quotation marks. */
function folded(text) {
  const plain = text.replace(SIGNS, " ").replace(INVISIBLE, "").normalize("NFKD").replace(ACCENTS, "");
  const small = plain.normalize("NFKC").toLowerCase();
  return small.replace(OTHER_LETTERS, (letter) => LETTERS[letter]);
}

const wordsOf = (text) => folded(text).match(WORD) ?? [];

/** The alternatives of a search. Each is a list of terms {words, without}, all of which a text must meet. */
function alternativesOf(search) {
  const found = [[]];
  for (const [, minus, phrase, word] of folded(search).matchAll(/(-?)(?:"([^"]*)"?|([^\s"]+))/g)) {
    if (word === "or" && !minus) found.push([]);
    else {
      const words = wordsOf(phrase ?? word);
      if (words.length) found.at(-1).push({ words, without: minus === "-" });
    }
  }
  const kept = found.filter((terms) => terms.length);
  return found.length > 1 && kept.length === 0 ? [[{ words: ["or"], without: false }]] : kept;
}

/**
 * Whether a search may say more than words, in the query language: then the API alone decides what meets it. That of
 * some searches for words is said too, which does no harm.
 */
export const saysMore = (search) => /[()<>=:*]|\b(?:AND|NOT)\b/u.test(search.normalize("NFKC").replace(INVISIBLE, ""));

const begins = (given, word) => (word.length < SHORTEST_BEGINNING ? given === word : given.startsWith(word));

const hasPhrase = (given, words) =>
  given.some((_, start) => words.every((word, index) => given[start + index] && begins(given[start + index], word)));

/**
 * Whether a text meets a search: each word must begin a word of the text, a very short one be a word of it. The API
 * compares stems instead. Like the API this takes a search without words for one piece of the text.
 */
export function meets(text, search) {
  const alternatives = alternativesOf(search);
  if (alternatives.length === 0) return text.toLowerCase().includes(search.trim().toLowerCase());
  const given = wordsOf(text);
  return alternatives.some((terms) => terms.every(({ words, without }) => hasPhrase(given, words) !== without));
}
