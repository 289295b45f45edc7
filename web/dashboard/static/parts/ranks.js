// The places that a post had in listings by rank: its newest and its best place in each.
import { scrollRegion } from "../dom.js";
import { count, when } from "../format.js";
import { card, quiet } from "./layout.js";
import { table } from "./table.js";

const COLUMNS = [
  { label: "Listing", cell: ({ post_sort: sort, listing }) => `${sort} of r/${listing}` },
  { label: "Newest rank", number: true, cell: ({ newest }) => count(newest.rank) },
  { label: "Told", number: true, cell: ({ newest }) => when(newest.observed_at) },
  { label: "Best rank", number: true, cell: ({ best }) => count(best.rank) },
  { label: "Reached", number: true, cell: ({ best }) => when(best.observed_at) },
];

/** The card of a post's ranks: {element, show(ranks)}. It is hidden while there are none. `ranks` are oldest first. */
export function ranksCard() {
  const region = scrollRegion("Table of ranks");
  const about = quiet("in listings by rank; told when a rank changes, and every half hour");
  const element = card({ title: "Ranks", beside: about, region: "ranks" }, region);
  element.hidden = true;
  function show(ranks) {
    element.hidden = ranks.length === 0;
    region.replaceChildren(ranks.length ? table(COLUMNS, byListing(ranks)) : "");
  }
  return { element, show };
}

/** One item for each listing, the best of them first: {post_sort, listing, newest, best}. */
function byListing(ranks) {
  const listings = new Map();
  for (const each of ranks) {
    const { post_sort, listing, rank } = each;
    const key = `${post_sort} ${listing}`;
    const known = listings.get(key) ?? { post_sort, listing, best: each };
    known.newest = each;
    if (rank < known.best.rank) known.best = each;
    listings.set(key, known);
  }
  return [...listings.values()].sort((a, b) => a.best.rank - b.best.rank);
}
