"""Statistics of the posts created within a window, computed by the database in one statement, as JSON.

Totals and means are of the numbers that are known. Where there are posts and none is known they are null; without posts
totals are 0.
"""

from collections.abc import Sequence
from datetime import datetime

from signalflow.domain.general_words import general_words
from signalflow.storage.post_filters import Filters, conditions, looked_up
from signalflow.storage.read_router import ReadRouter
from signalflow.storage.search import SearchMode

# The posts of the window are read once, and every part is computed from these rows. General words are a subquery,
# because a generic plan searches the array of a parameter from its begin for every keyword.
_STATS = """
WITH w AS MATERIALIZED (
    SELECT p.id, p.subreddit, p.author, p.created_utc, p.current_score AS score, p.current_comments AS comments,
        p.current_score + 2::bigint * p.current_comments AS engagement, p.trend_velocity AS velocity, p.is_trending,
        n.sentiment_score AS sentiment, n.sentiment_label AS label, n.keywords, p.last_polled_at AS observed_at
    FROM posts AS p LEFT JOIN post_nlp_features AS n ON n.post_id = p.id
    WHERE p.created_utc >= $1 AND p.created_utc < $2 AND {conditions}
), signalled AS (
    SELECT kind, count(w.id) AS posts
    FROM unnest(ARRAY['viral', 'unusual_here']) AS k (kind)
    LEFT JOIN signals AS s USING (kind) LEFT JOIN w ON s.subject_kind = 'post' AND s.subject = w.id GROUP BY kind
), ranked AS (
    (SELECT 'score' AS by, id, row_number() OVER (ORDER BY score DESC NULLS LAST, id DESC) AS place
        FROM w ORDER BY score DESC NULLS LAST, id DESC LIMIT 10)
    UNION ALL
    (SELECT 'comments', id, row_number() OVER (ORDER BY comments DESC NULLS LAST, id DESC)
        FROM w ORDER BY comments DESC NULLS LAST, id DESC LIMIT 10)
    UNION ALL
    (SELECT 'engagement', id, row_number() OVER (ORDER BY engagement DESC NULLS LAST, id DESC)
        FROM w ORDER BY engagement DESC NULLS LAST, id DESC LIMIT 10)
), posts_ranked AS (
    SELECT r.by, json_agg(json_build_object(
        'id', p.id, 'subreddit', p.subreddit, 'author', p.author, 'title', p.title, 'permalink', p.permalink,
        'created_utc', p.created_utc, 'current_score', p.current_score, 'current_comments', p.current_comments,
        'score_velocity', p.score_velocity, 'trend_velocity', p.trend_velocity,
        'engagement_score', p.current_score + 2::bigint * p.current_comments,
        'age_minutes', GREATEST(EXTRACT(EPOCH FROM $3::timestamptz - p.created_utc)::float8 / 60, 0)
    ) ORDER BY r.place) AS items
    FROM ranked AS r JOIN posts AS p USING (id) GROUP BY r.by
), authors AS (
    SELECT author, count(*) AS posts, sum(score)::bigint AS total_score,
        sum(comments)::bigint AS total_comments, sum(engagement)::bigint AS engagement_score
    FROM w WHERE author IS NOT NULL GROUP BY author ORDER BY engagement_score DESC NULLS LAST, author LIMIT 10
), spellings AS (
    SELECT subreddit, max(observed_at) AS observed_at, count(*) AS posts,
        count(*) FILTER (WHERE is_trending) AS trending, sum(score) AS score, count(score) AS with_score,
        sum(comments) AS comments,
        sum(sentiment) AS sentiment, count(sentiment) AS scored
    FROM w GROUP BY subreddit
), subreddits AS (
    -- Reddit ignores the case of a name. Shown is the spelling of the newest observation.
    SELECT (array_agg(subreddit ORDER BY observed_at DESC, subreddit))[1] AS subreddit,
        sum(posts)::bigint AS posts, sum(trending)::bigint AS trending,
        sum(score)::bigint AS total_score, sum(comments)::bigint AS total_comments,
        (sum(score) / NULLIF(sum(with_score), 0))::float8 AS average_score,
        sum(sentiment) / NULLIF(sum(scored), 0)::float8 AS average_sentiment
    FROM spellings GROUP BY lower(subreddit) ORDER BY posts DESC, lower(subreddit) LIMIT 200
), hours AS (
    SELECT date_trunc('hour', created_utc, 'UTC') AS hour, count(*) AS posts,
        count(*) FILTER (WHERE is_trending) AS trending, sum(score)::bigint AS total_score,
        sum(comments)::bigint AS total_comments, avg(sentiment) AS average_sentiment
    FROM w GROUP BY 1
), timeline AS (
    SELECT h.hour, COALESCE(posts, 0) AS posts, COALESCE(trending, 0) AS trending,
        CASE WHEN posts > 0 THEN total_score ELSE 0 END AS total_score,
        CASE WHEN posts > 0 THEN total_comments ELSE 0 END AS total_comments, average_sentiment
    FROM generate_series(
        date_trunc('hour', $1::timestamptz, 'UTC'), $2::timestamptz - interval '1 microsecond', interval '1 hour'
    ) AS h (hour) LEFT JOIN hours USING (hour) ORDER BY h.hour
), keywords AS (
    SELECT keyword, count(*) AS posts, avg(score)::float8 AS average_score, avg(sentiment) AS average_sentiment
    FROM w, jsonb_array_elements_text(keywords) AS k (keyword)
    WHERE keyword NOT IN (SELECT unnest($4::text[])) GROUP BY keyword ORDER BY posts DESC, keyword LIMIT 30
), sentiment_bins AS (
    SELECT (bin - 11) / 10.0::float8 AS lower, (bin - 10) / 10.0::float8 AS upper, COALESCE(posts, 0) AS posts
    FROM generate_series(1, 20) AS b (bin) LEFT JOIN (
        SELECT LEAST(width_bucket(sentiment, -1, 1, 20), 20) AS bin, count(*) AS posts
        FROM w WHERE sentiment IS NOT NULL GROUP BY 1
    ) AS counted USING (bin) ORDER BY bin
), ages AS (
    SELECT floor(GREATEST(EXTRACT(EPOCH FROM $3::timestamptz - created_utc), 0) / 3600)::int AS age_hours,
        count(*) AS posts, avg(engagement)::float8 AS average_engagement, max(engagement) AS highest_engagement
    FROM w GROUP BY 1 ORDER BY 1 LIMIT 168
), velocity_bounds AS (
    SELECT ARRAY[0, 0.001, 0.01, 0.1, 1, 10]::float8[] AS bounds
), velocities AS (
    SELECT bounds[bin] AS lower, bounds[bin + 1] AS upper, COALESCE(posts, 0) AS posts
    FROM velocity_bounds, generate_series(0, 6) AS b (bin) LEFT JOIN (
        SELECT width_bucket(velocity, (SELECT bounds FROM velocity_bounds)) AS bin, count(*) AS posts
        FROM w WHERE velocity IS NOT NULL GROUP BY 1
    ) AS counted USING (bin) ORDER BY bin
)
SELECT json_build_object(
    'start', $1::timestamptz, 'end', $2::timestamptz, 'computed_at', $3::timestamptz, 'search', $5::text,
    'overview', (SELECT json_build_object(
        'posts', count(*), 'authors', count(DISTINCT author), 'subreddits', count(DISTINCT lower(subreddit)),
        'trending', count(*) FILTER (WHERE is_trending),
        'took_off', (SELECT posts FROM signalled WHERE kind = 'viral'),
        'unusual', (SELECT posts FROM signalled WHERE kind = 'unusual_here'),
        'total_score', CASE WHEN count(*) > 0 THEN sum(score) ELSE 0 END,
        'total_comments', CASE WHEN count(*) > 0 THEN sum(comments) ELSE 0 END,
        'average_score', avg(score)::float8, 'average_comments', avg(comments)::float8,
        'average_sentiment', avg(sentiment)
    ) FROM w),
    'most_upvoted', COALESCE((SELECT items FROM posts_ranked WHERE by = 'score'), '[]'),
    'most_commented', COALESCE((SELECT items FROM posts_ranked WHERE by = 'comments'), '[]'),
    'top_posts', COALESCE((SELECT items FROM posts_ranked WHERE by = 'engagement'), '[]'),
    'top_authors', (SELECT COALESCE(json_agg(authors), '[]') FROM authors),
    'subreddits', (SELECT COALESCE(json_agg(subreddits), '[]') FROM subreddits),
    'timeline', (SELECT COALESCE(json_agg(timeline), '[]') FROM timeline),
    'keywords', (SELECT COALESCE(json_agg(keywords), '[]') FROM keywords),
    'sentiment', (SELECT json_build_object(
        'positive', count(*) FILTER (WHERE label = 'positive'), 'neutral', count(*) FILTER (WHERE label = 'neutral'),
        'negative', count(*) FILTER (WHERE label = 'negative'), 'unknown', count(*) FILTER (WHERE label IS NULL),
        'bins', (SELECT json_agg(sentiment_bins) FROM sentiment_bins)
    ) FROM w),
    'ages', (SELECT COALESCE(json_agg(ages), '[]') FROM ages),
    'velocities', (SELECT json_agg(velocities) FROM velocities)
)::text AS stats
"""
# The window is cut into this many parts of equal length, which show how a keyword comes and goes.
TREND_PARTS = 12
_KEYWORDS = """
WITH w AS MATERIALIZED (
    SELECT k.keyword, p.created_utc >= $1 AS is_new, p.subreddit, p.current_score, p.current_comments,
        n.sentiment_score, width_bucket(
            EXTRACT(EPOCH FROM p.created_utc - $1::timestamptz)::float8,
            0, EXTRACT(EPOCH FROM $2::timestamptz - $1::timestamptz)::float8, {parts}
        ) AS part
    FROM posts AS p JOIN post_nlp_features AS n ON n.post_id = p.id,
        jsonb_array_elements_text(n.keywords) AS k (keyword)
    WHERE p.created_utc >= $1::timestamptz - ($2::timestamptz - $1::timestamptz) AND p.created_utc < $2
        AND k.keyword NOT IN (SELECT unnest($4::text[])) AND {conditions}
), counted AS (
    SELECT keyword, count(*) FILTER (WHERE is_new) AS posts, count(*) FILTER (WHERE NOT is_new) AS posts_before
    FROM w GROUP BY keyword HAVING bool_or(is_new) ORDER BY posts DESC, keyword LIMIT $3
)
SELECT c.keyword, c.posts, c.posts_before, ARRAY[{trend}] AS trend,
    count(DISTINCT lower(w.subreddit)) AS subreddits,
    sum(w.current_score)::bigint AS total_score, sum(w.current_comments)::bigint AS total_comments,
    avg(w.sentiment_score) AS average_sentiment
FROM counted AS c JOIN w ON w.keyword = c.keyword AND w.is_new
GROUP BY c.keyword, c.posts, c.posts_before ORDER BY c.posts DESC, c.keyword
"""
_TREND = ", ".join(f"count(*) FILTER (WHERE w.part = {part})" for part in range(1, TREND_PARTS + 1))


async def stats(reads: ReadRouter, start: datetime, end: datetime, filters: Filters, now: datetime) -> bytes:
    """The statistics as JSON (web/api/stats/schemas.py). Raises TookTooLong when the window has too many posts."""
    filters = await looked_up(reads, filters)
    parameters: list[object] = [start, end, now, sorted(general_words()), filters.mode]
    statement = _STATS.replace("{conditions}", _bound_conditions(filters, parameters))
    (row,) = await reads.fetch(statement, *parameters)
    text: str = row["stats"]
    return text.encode()


async def keyword_counts(
    reads: ReadRouter, start: datetime, end: datetime, filters: Filters, limit: int
) -> tuple[Sequence[dict[str, object]], SearchMode | None]:
    """The keywords with the most posts in the window, and how the words of the filters were looked up.

    General words ("far", "read") are no keywords here. Each keyword has its posts in the window before this one, and
    its posts in each of the window's TREND_PARTS parts.
    """
    filters = await looked_up(reads, filters)
    parameters: list[object] = [start, end, limit, sorted(general_words())]
    statement = _KEYWORDS.format(conditions=_bound_conditions(filters, parameters), trend=_TREND, parts=TREND_PARTS)
    return [dict(row) for row in await reads.fetch(statement, *parameters)], filters.mode


def _bound_conditions(filters: Filters, parameters: list[object]) -> str:
    """The conditions of the filters on a window that ends at $2. Their values are added to the parameters."""

    def bound(value: object) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    of_post, of_features = conditions(filters, bound, until="$2")
    return " AND ".join(of_post + of_features) or "true"
