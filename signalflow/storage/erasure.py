"""Erasure of what authors wrote: on request, in dead letters, and how long it takes.

What is taken away on Reddit is erased by the sink (writer.py). On request a post is erased for good, whatever Reddit
still shows of it: `erased_until` is infinity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from signalflow.domain.erasure import Erased, ErasedComment, ErasedPost
from signalflow.domain.words import REQUEST
from signalflow.events import storable
from signalflow.storage import audit
from signalflow.storage.advisory_locks import ERASURE_LOCK, LOCK_SPACE
from signalflow.storage.pool import Connection, Pool, connection, transaction
from signalflow.storage.read_router import ReadRouter

# The name itself is not kept: only whether a name is the same.
# As signalflow.domain.erasure.author_digest: in "C" only the case of ASCII letters does not matter.
_DIGEST = """sha256(convert_to(lower({} COLLATE "C"), 'UTF8'))"""
# Posts are locked in the order of their ids, as by the sink, so that the two cannot deadlock.
_ERASE_POSTS = """
WITH chosen AS MATERIALIZED (
    SELECT id FROM posts WHERE id = ANY ($1::text[]) AND erased_until IS DISTINCT FROM 'infinity'
    ORDER BY id FOR UPDATE
), erased AS (
    UPDATE posts AS p SET erased_until = 'infinity',
        title = '', author = NULL, url = NULL, permalink = NULL, flair = NULL, body = NULL
    FROM chosen WHERE p.id = chosen.id RETURNING p.id
), forgotten AS (
    UPDATE post_nlp_features SET title = '', keywords = '[]', topic_cluster = NULL FROM erased WHERE post_id = erased.id
)
INSERT INTO erasures (post_id, seen_at) SELECT id, now() FROM erased ON CONFLICT (post_id) DO NOTHING
"""
# Returns how many there were.
_ERASE_COMMENTS = """
WITH erased AS (
    UPDATE comments SET author = NULL, body = NULL, permalink = NULL,
        sentiment_score = NULL, sentiment_label = NULL, sentiment_basis = NULL
    WHERE {which} RETURNING id
), noted AS (
    INSERT INTO comment_erasures (comment_id, seen_at) SELECT id, now() FROM erased
    ON CONFLICT (comment_id) DO UPDATE SET removed_by = NULL
)
SELECT count(*) FROM erased
"""
_ERASE_COMMENTS_BY = _ERASE_COMMENTS.format(which="lower(author) = lower($1)")
_POSTS_BY = "SELECT id FROM posts WHERE lower(author) = lower($1) ORDER BY id"
_COMMENTS_BY = "SELECT id FROM comments WHERE lower(author) = lower($1) ORDER BY id"
_COUNT_COMMENTS_BY = "SELECT count(*) FROM comments WHERE lower(author) = lower($1)"
# Who stores rows looks for erased authors before it commits, and an erasure looks for stored rows. Neither may do so
# while the other is between the two: a row would stay that both have missed.
_STORE_BESIDE_OTHERS = f"SELECT pg_advisory_xact_lock_shared({LOCK_SPACE}, {ERASURE_LOCK})"
_ERASE_ALONE = f"SELECT pg_advisory_xact_lock({LOCK_SPACE}, {ERASURE_LOCK})"
_REMEMBER = f"INSERT INTO erased_authors (digest) VALUES ({_DIGEST.format('$1::text')}) ON CONFLICT DO NOTHING"  # noqa: S608
_IDENTIFIED = f"SELECT encode({_DIGEST.format('$1::text')}, 'hex')"
# The condition on the other table comes first: it is nearly always empty, and then no post is read.
_OF_ERASED_AUTHORS = f"""
SELECT id FROM posts WHERE EXISTS (SELECT FROM erased_authors) AND id = ANY ($1::text[])
    AND {_DIGEST.format("author")} IN (SELECT digest FROM erased_authors)
UNION
-- The poller knew that they are erased.
SELECT id FROM posts WHERE id = ANY ($2::text[]) AND erased_until IS DISTINCT FROM 'infinity'
"""  # noqa: S608, constants of this module
# A comment is also known by its id: the account of its author may be deleted meanwhile, and its text stay.
_ERASE_ASKED_FOR = _ERASE_COMMENTS.format(
    which=f"""id = ANY ($1::text[]) AND (author IS NOT NULL OR body IS NOT NULL OR permalink IS NOT NULL) AND (
        EXISTS (SELECT FROM erased_authors)
        AND {_DIGEST.format("author")} IN (SELECT digest FROM erased_authors)
        OR id = ANY (ARRAY(
            SELECT comment_id FROM comment_erasures WHERE comment_id = ANY ($1::text[]) AND removed_by IS NULL
        ))
    )"""  # noqa: S608, constants of this module
)
# Of a comment that the poller knew to be erased.
_NOTE_ASKED_FOR = """
INSERT INTO comment_erasures (comment_id, seen_at)
SELECT id, seen_at FROM comments JOIN unnest($1::text[], $2::timestamptz[]) AS r (id, seen_at) USING (id)
ON CONFLICT (comment_id) DO UPDATE SET removed_by = NULL WHERE comment_erasures.removed_by IS NOT NULL
"""
# Comments that their newest observation shows as taken away; the writer has stored them without text.
_NOTE_COMMENTS = """
INSERT INTO comment_erasures (comment_id, removed_by, seen_at)
SELECT id, removed_by, seen_at FROM comments JOIN unnest($1::text[], $2::timestamptz[]) AS r (id, seen_at) USING (id)
WHERE removed_by IS NOT NULL
ON CONFLICT (comment_id) DO NOTHING
"""
# A letter holds the whole record. Its key is the id of a post, or any bytes.
_ERASE_LETTERS = """
UPDATE dlq_events AS d SET original_value = NULL, whole = false, erased_at = now()
FROM posts AS p
WHERE d.original_value IS NOT NULL AND p.id = encode(d.original_key, 'escape') AND p.last_polled_at <= p.erased_until
"""
# A letter of a comment has the id of its post as key, and the comment's in its record. A broken record may not tell it:
# then it goes with the first comment below its post that is erased.
_ERASE_LETTERS_OF_COMMENTS = r"""
UPDATE dlq_events AS d SET original_value = NULL, whole = false, erased_at = now()
WHERE d.original_value IS NOT NULL AND d.source_topic LIKE '%reddit.comments.raw' AND EXISTS (
    SELECT FROM comments AS c
    WHERE c.post_id = encode(d.original_key, 'escape') AND c.author IS NULL AND c.body IS NULL
        AND c.id = COALESCE(substring(encode(d.original_value, 'escape') FROM '"id"\s*:\s*"([0-9a-z]{1,13})"'), c.id)
)
"""
# What alerts tell of posts and comments that are erased: their words go, and what waits is not sent. An answer of a
# target may repeat them.
_ERASE_ALERTS = """
WITH erased AS (
    UPDATE alert_matches AS m SET alert = m.alert || '{{"title": null, "url": null, "sentence": ""}}'
    WHERE m.kind = '{kind}' AND m.alert->>'sentence' <> '' AND {erased}
    RETURNING m.id
), given_up AS (
    UPDATE alert_deliveries AS d SET state = 'given_up', ended_at = now() FROM erased
    WHERE d.match_id = erased.id AND d.state = 'waiting'
)
UPDATE alert_attempts AS a SET answer = '' FROM alert_deliveries AS d JOIN erased ON d.match_id = erased.id
WHERE a.delivery_id = d.id
"""
_ERASE_ALERTS_OF_POSTS = _ERASE_ALERTS.format(
    kind="post",
    erased="m.subject = ANY ($1::text[]) AND EXISTS (SELECT FROM posts AS t WHERE t.id = m.subject "
    "AND t.last_polled_at <= t.erased_until)",
)
_ERASE_ALERTS_OF_COMMENTS = _ERASE_ALERTS.format(
    kind="comment",
    erased="m.subject = ANY ($1::text[]) AND EXISTS (SELECT FROM comments AS t WHERE t.id = m.subject "
    "AND t.body IS NULL)",
)
# A signal names a word that its posts have in common, for as long as one of them stands.
_ERASE_ALERTS_OF_SIGNALS = _ERASE_ALERTS.format(
    kind="signal",
    erased="EXISTS (SELECT FROM signals AS s WHERE s.id = m.subject AND s.post_ids && $1::text[] AND NOT EXISTS "
    "(SELECT FROM posts AS t WHERE t.id = ANY (s.post_ids) AND (t.last_polled_at <= t.erased_until) IS NOT TRUE))",
)
# Of authors, posts and comments. It is read every few seconds: the two larger tables have an index of these rows alone.
_ASKED_FOR = (
    "SELECT digest FROM erased_authors",
    "SELECT id FROM posts WHERE erased_until = 'infinity'",
    "SELECT comment_id AS id FROM comment_erasures WHERE removed_by IS NULL",
)
_ROWS_OF_POSTS = """
SELECT id, subreddit, created_utc, last_polled_at AS observed_at, removed_by IS NOT DISTINCT FROM $2 AS is_told,
    over_18, is_self, edited_at
FROM posts WHERE id = ANY ($1::text[])
"""
_ROWS_OF_COMMENTS = """
SELECT id, post_id, subreddit, created_utc, observed_at, removed_by IS NOT DISTINCT FROM $2 AS is_told,
    parent_id, depth
FROM comments WHERE id = ANY ($1::text[])
"""
_UNTOLD = """
SELECT (SELECT count(*) FROM posts WHERE erased_until = 'infinity' AND removed_by IS DISTINCT FROM $1) + (
    SELECT count(*) FROM comment_erasures AS e JOIN comments AS c ON c.id = e.comment_id
    WHERE e.removed_by IS NULL AND c.removed_by IS DISTINCT FROM $1
)
"""
_NOT_ERASED = """
SELECT id FROM posts JOIN unnest($1::text[], $2::timestamptz[]) AS r (id, seen_at) USING (id)
WHERE erased_until IS NULL OR erased_until < r.seen_at
"""
_STATUS = f"""
WITH every AS (
    SELECT true AS is_post, removed_by, seen_at, erased_at FROM erasures
    UNION ALL
    SELECT false, removed_by, seen_at, erased_at FROM comment_erasures
), lately AS (
    SELECT is_post, GREATEST(EXTRACT(epoch FROM erased_at - seen_at), 0)::double precision AS lag FROM every
    WHERE erased_at >= now() - interval '1 day' AND removed_by IS NOT NULL
)
SELECT ({_UNTOLD}) AS untold,
    (SELECT count(*) FROM erasures) AS posts,
    (SELECT count(*) FROM comment_erasures) AS comments,
    (SELECT max(erased_at) FROM every) AS newest,
    (SELECT began_at FROM deletion_sweep) AS sweep_began_at,
    (SELECT ended_at FROM deletion_sweep) AS sweep_ended_at,
    (SELECT began_at FROM comment_sweep) AS comment_sweep_began_at,
    (SELECT ended_at FROM comment_sweep) AS comment_sweep_ended_at,
    count(*) FILTER (WHERE is_post) AS posts_of_last_day,
    count(*) FILTER (WHERE NOT is_post) AS comments_of_last_day,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY lag) AS median_lag_seconds,
    max(lag) AS longest_lag_seconds
FROM lately
"""  # noqa: S608, a constant of this module


@dataclass(frozen=True, slots=True)
class Found:
    """What an author wrote, as far as it is stored."""

    posts: int
    comments: int


@dataclass(frozen=True, slots=True)
class ErasureStatus:
    """What was erased so far, the newest moment, and the lags of the last day from being seen as taken away to erased.

    The sweeps check old posts and old comments: when their present round began, and when the last whole one ended.
    `untold` is as the function of this name.
    """

    untold: int
    posts: int
    comments: int
    newest: datetime | None
    sweep_began_at: datetime | None
    sweep_ended_at: datetime | None
    comment_sweep_began_at: datetime | None
    comment_sweep_ended_at: datetime | None
    posts_of_last_day: int
    comments_of_last_day: int
    median_lag_seconds: float | None
    longest_lag_seconds: float | None


async def found_of_author(pool: Pool, author: str) -> Found:
    """What is stored of an author. Raises Retryable while the database is away."""
    name = storable(author)
    async with connection(pool) as reading:
        posts = await reading.fetch(_POSTS_BY, name)
        return Found(len(posts), await reading.fetchval(_COUNT_COMMENTS_BY, name))


async def erase_author(pool: Pool, author: str, *, who: str) -> Found:
    """Erase what an author wrote, and what is stored of this name later, in one transaction.

    The audit log gets a digest instead of the name. To repeat it changes nothing.
    """
    name = storable(author)
    async with transaction(pool) as writing:
        await writing.execute(_ERASE_ALONE)
        await writing.execute(_REMEMBER, name)
        ids = [row["id"] for row in await writing.fetch(_POSTS_BY, name)]
        await erase_posts(writing, ids)
        said = [row["id"] for row in await writing.fetch(_COMMENTS_BY, name)]
        comments = int(await writing.fetchval(_ERASE_COMMENTS_BY, name))
        await erase_alerts_of_comments(writing, said)
        await _erase_letters(writing)
        target = f"sha256:{await writing.fetchval(_IDENTIFIED, name)}"
        details = {"posts": len(ids), "comments": comments}
        await audit.record(writing, who=who, action="erase.author", target=target, details=details)
    return Found(len(ids), comments)


async def erased_on_request(pool: Pool) -> Erased:
    """Everything whose erasure was asked for. Raises Retryable while the database is away."""
    async with connection(pool) as reading:
        authors, posts, comments = [await reading.fetch(statement) for statement in _ASKED_FOR]
    return Erased(
        frozenset(row["digest"] for row in authors),
        frozenset(row["id"] for row in posts),
        frozenset(row["id"] for row in comments),
    )


async def erased_rows(
    pool: Pool, posts: Sequence[str], comments: Sequence[str]
) -> tuple[list[ErasedPost], list[ErasedComment]]:
    """What is left of those of these posts and comments that are stored.

    Raises Retryable while the database is away.
    """
    async with connection(pool) as reading:
        of_posts = await reading.fetch(_ROWS_OF_POSTS, list(posts), REQUEST)
        of_comments = await reading.fetch(_ROWS_OF_COMMENTS, list(comments), REQUEST)
    return [ErasedPost(**row) for row in of_posts], [ErasedComment(**row) for row in of_comments]


async def untold(pool: Pool) -> int:
    """Of how many posts and comments whose erasure was asked for no record says so that is stored.

    Raises Retryable while the database is away.
    """
    async with connection(pool) as reading:
        return int(await reading.fetchval(_UNTOLD, REQUEST))


async def is_stored(pool: Pool, post_id: str) -> bool:
    """Whether a post is stored."""
    async with connection(pool) as reading:
        return bool(await reading.fetchval("SELECT EXISTS (SELECT FROM posts WHERE id = $1)", storable(post_id)))


async def erase_post(pool: Pool, post_id: str, *, who: str) -> bool:
    """Erase a post for good; False when it is not stored. To repeat it changes nothing."""
    if not await is_stored(pool, post_id):
        return False
    async with transaction(pool) as writing:
        await erase_posts(writing, [post_id])
        await _erase_letters(writing)
        await audit.record(writing, who=who, action="erase.post", target=post_id, details={})
    return True


async def keep_erasures_out(storing: Connection) -> None:
    """No author is erased until this transaction ends. Call it first, before rows are locked."""
    await storing.execute(_STORE_BESIDE_OTHERS)


async def keep_posts_as_they_are(storing: Connection) -> None:
    """Wait until the posts and comments are stored that others store now; none is stored until this transaction ends.

    Call it before rows of these tables are locked.
    """
    await storing.execute(_ERASE_ALONE)


async def erase_posts(writing: Connection, ids: Sequence[str]) -> None:
    """Erase these posts for good, and what alerts tell of them, within a transaction."""
    await writing.execute(_ERASE_POSTS, list(ids))
    await erase_alerts_of_posts(writing, ids)


async def erase_alerts_of_posts(writing: Connection, ids: Sequence[str]) -> None:
    """Erase what alerts tell of those of these posts that are erased, and send none any more."""
    await writing.execute(_ERASE_ALERTS_OF_POSTS, list(ids))
    await writing.execute(_ERASE_ALERTS_OF_SIGNALS, list(ids))


async def erase_alerts_of_comments(writing: Connection, ids: Sequence[str]) -> None:
    """The same of comments without text."""
    await writing.execute(_ERASE_ALERTS_OF_COMMENTS, list(ids))


async def erase_posts_of_erased_authors(writing: Connection, ids: Sequence[str], asked_for: Sequence[str]) -> None:
    """Erase those of these posts whose authors asked for it, within the transaction that stores them.

    Of the posts `asked_for` an observation says that their erasure was asked for.
    """
    found = await writing.fetch(_OF_ERASED_AUTHORS, list(ids), list(asked_for))
    if found:
        await erase_posts(writing, [row["id"] for row in found])


async def erase_comments_of_erased_authors(
    writing: Connection, ids: Sequence[str], asked_for: Mapping[str, datetime]
) -> None:
    """Erase those of these comments whose authors asked for it, within the transaction that stores them.

    Of the comments `asked_for` an observation of that moment says that their erasure was asked for.
    """
    if asked_for:
        await writing.execute(_NOTE_ASKED_FOR, list(asked_for), list(asked_for.values()))
    await writing.execute(_ERASE_ASKED_FOR, list(ids))


async def note_erased_comments(writing: Connection, seen_at: Mapping[str, datetime]) -> None:
    """Note those of these comments, seen as taken away at these moments, that are stored so, within a transaction."""
    await writing.execute(_NOTE_COMMENTS, list(seen_at), list(seen_at.values()))


async def erase_letters(pool: Pool) -> int:
    """Take the records of erased posts and comments out of the dead letters; returns how many.

    They cannot be replayed any more.
    """
    async with connection(pool) as writing:
        return await _erase_letters(writing)


async def _erase_letters(writing: Connection) -> int:
    statements = (_ERASE_LETTERS, _ERASE_LETTERS_OF_COMMENTS)
    return sum([int((await writing.execute(statement)).rpartition(" ")[2]) for statement in statements])


async def not_erased_yet(reads: ReadRouter, seen_at: Mapping[str, datetime]) -> set[str]:
    """Those of these posts, seen as taken away at these moments, that are stored and not erased yet.

    Raises Retryable while the database is away.
    """
    return {row["id"] for row in await reads.fetch(_NOT_ERASED, list(seen_at), list(seen_at.values()))}


async def erasure_status(pool: Pool) -> ErasureStatus:
    """How much was erased and how long it took. Raises Retryable while the database is away."""
    async with connection(pool) as reading:
        row = await reading.fetchrow(_STATUS, REQUEST)
    assert row is not None
    return ErasureStatus(**row)
