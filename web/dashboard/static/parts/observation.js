// A post after a live observation. Not every source tells everything: Reddit's feeds tell no numbers.
const OF_THE_SCORE = [
  "current_score",
  "current_ratio",
  "score_velocity",
  "comment_velocity",
  "trend_velocity",
  "trending_score",
  "is_trending",
];
const OF_THE_DETAILS = ["current_comments", "url", "flair", "over_18", "is_self", "edited_at"];

/**
 * A known post with a newer observation of it, or only that when none is known. What the observation does not tell
 * stays as it was, by the same rule as in the database. A post that is observed is shown by Reddit.
 */
export function afterObservation(known, fresh) {
  if (!known || known === fresh) return fresh;
  const post = { ...known, ...fresh, not_shown_since: null };
  const loses = (name) => fresh[name] === null && known[name] !== null;
  const keep = (names) => {
    for (const name of names) post[name] = known[name];
  };
  if (loses("current_score")) keep(OF_THE_SCORE);
  else post.score_observed_at = fresh.observed_at;
  if (loses("current_comments") || (fresh.current_comments === null && loses("is_self"))) keep(OF_THE_DETAILS);
  return post;
}
