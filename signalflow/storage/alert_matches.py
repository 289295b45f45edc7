"""Writes what rules of alerts meet, in the transaction that stores it, and the deliveries that follow from it.

A rule meets a post, a comment or a signal once, whatever is delivered again. Without rules a flush pays one statement.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeVar
from uuid import UUID

import structlog
from msgspec import UNSET

from signalflow.alerts.matching import Met, Rule, alert_of, met_comment, met_post, met_signal, needs_signal, stored_post
from signalflow.clock import steady
from signalflow.domain.queries.index import RuleIndex
from signalflow.domain.queries.language import QueryError, parse
from signalflow.events import Enriched, EnrichedComment, encode
from signalflow.metrics import ALERT_MATCHES, ALERT_RULES_UNREADABLE
from signalflow.signal_events import Signal
from signalflow.storage.alert_subjects import COMMENT_STANDS, NEWS_FOR, POST_STANDS, POSTS
from signalflow.storage.erasure import keep_posts_as_they_are
from signalflow.storage.pool import Connection
from signalflow.storage.signals import COLUMNS, StoredSignal, stored_signal, what_is_known

log = structlog.get_logger()

# Matching a post takes up to some milliseconds, and reading a rule 0.1: others have their turn between.
TURN_SECONDS = 0.01

_STATE = "SELECT (SELECT max(version) FROM alert_rules_version) AS version, now() AS now"
# With its version, also when there is no rule.
_RULES = """
SELECT v.version, r.id, r.name, r.query FROM (SELECT max(version) AS version FROM alert_rules_version) AS v
LEFT JOIN alert_rules AS r ON r.paused_at IS NULL
"""
_BODIES = "SELECT id, body FROM posts WHERE id = ANY ($1::text[])"
_GO_ON = f"""
SELECT {", ".join(COLUMNS)} FROM signals
WHERE {{which}} = ANY ($1::text[]) AND (subject_kind = 'post') = $2 AND ended_at IS NULL AND started_at > $3
ORDER BY started_at, id
"""  # noqa: S608, names of columns
# A post that is locked is neither erased nor changed until its alert is stored.
_POSTS_WITH_SIGNALS = f"""
SELECT p.id AS id_, p.subreddit, p.title, p.body, p.author, p.url, p.permalink, p.flair, p.over_18,
    p.created_utc, p.last_polled_at AS observed_at, p.current_score AS score, p.current_comments AS comments,
    p.current_ratio AS ratio, n.sentiment_score AS sentiment
FROM {POSTS}
WHERE p.id = ANY ($1::text[]) AND p.created_utc > $2 AND {POST_STANDS}
ORDER BY p.id FOR SHARE OF p
"""  # noqa: S608, constants
# The rows of `given` that are told for the first time. A row of the table that is newer than the newest observation of
# this flush means that the flush is a repetition, whose posts and comments were seen by the rules of their time.
_IS_NEW = """
SELECT n FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) WITH ORDINALITY AS g (rule_id, subject, seen_at, n)
WHERE {stands} AND NOT EXISTS (
    SELECT FROM alert_matches AS m WHERE (m.rule_id, m.kind, m.subject) = (g.rule_id, '{kind}', g.subject)
)
"""
_NEW = {
    "post": _IS_NEW.format(
        kind="post",
        stands=f"EXISTS (SELECT FROM posts AS p WHERE p.id = g.subject AND p.last_polled_at <= g.seen_at "
        f"AND {POST_STANDS})",
    ),
    "comment": _IS_NEW.format(
        kind="comment",
        stands=f"EXISTS (SELECT FROM comments AS c WHERE c.id = g.subject AND c.observed_at <= g.seen_at "
        f"AND {COMMENT_STANDS})",
    ),
    "signal": _IS_NEW.format(kind="signal", stands="true"),
}
# Rules and targets may be changed or deleted meanwhile; those that are there stay until the end of the transaction.
# A match that another writer inserts is of a post or comment that both lock first, in the order of ids, so none waits
# for another in a circle.
_STORE = """
WITH rules AS MATERIALIZED (
    SELECT id FROM alert_rules WHERE id = ANY ($2::uuid[]) AND paused_at IS NULL ORDER BY id FOR KEY SHARE
), targets AS MATERIALIZED (
    SELECT id FROM alert_targets
    WHERE id IN (SELECT target_id FROM alert_rule_targets WHERE rule_id = ANY ($2::uuid[]))
        AND shape <> 'feed' AND disabled_at IS NULL
    ORDER BY id FOR KEY SHARE
), stored AS (
    INSERT INTO alert_matches (id, rule_id, kind, subject, alert)
    SELECT g.id, g.rule_id, $3, g.subject, g.alert
    FROM unnest($1::uuid[], $2::uuid[], $4::text[], $5::jsonb[]) AS g (id, rule_id, subject, alert)
    JOIN rules ON rules.id = g.rule_id
    ON CONFLICT DO NOTHING
    RETURNING id, rule_id
), told AS (
    INSERT INTO alert_deliveries (id, match_id, target_id)
    SELECT gen_random_uuid(), s.id, t.id
    FROM stored AS s JOIN alert_rule_targets AS r USING (rule_id) JOIN targets AS t ON t.id = r.target_id
)
SELECT count(*) FROM stored
"""

Kind = Literal["post", "comment", "signal"]
ItemT = TypeVar("ItemT")


class AlertMatches:
    """The rules of alerts, as they were when they last changed. One object serves all writers of a worker."""

    def __init__(self) -> None:
        # None is a version too, of a table without its row; -1: nothing was read yet.
        self._version: int | None = -1
        self._rules: dict[UUID, Rule] = {}
        self._with_signal: set[UUID] = set()
        self._index: RuleIndex[UUID] = RuleIndex()
        self._loading = asyncio.Lock()

    async def write(
        self, storing: Connection, rows: Sequence[Enriched] | Sequence[EnrichedComment] | Sequence[Signal]
    ) -> None:
        """Write what rules meet of these rows, given in log order, which this transaction has stored."""
        [state] = await storing.fetch(_STATE)
        if state["version"] != self._version:
            await self._load(storing, state["version"])
        if not self._rules:
            return
        since = state["now"] - NEWS_FOR
        posts = [row for row in rows if isinstance(row, Enriched)]
        comments = [row for row in rows if isinstance(row, EnrichedComment)]
        signals = [row for row in rows if isinstance(row, Signal)]
        if posts:
            await self._write_posts(storing, posts, since, state["now"])
        if comments:
            fresh = (row for row in comments if row.mode != "backfill" and row.comment.created_utc > since)
            standing = (row for row in fresh if row.comment.removed_by is None and row.comment.body is not None)
            found = await self._found(map(met_comment, standing), self._rules)
            seen = _newest((row.id, row.observed_at) for row in comments)
            await self._store(storing, "comment", found, seen, state["now"])
        if signals and self._with_signal:
            await self._write_signals(storing, signals, since, state["now"])

    async def _load(self, storing: Connection, version: int | None) -> None:
        """Read the rules. Those that have not changed stay as they are."""
        async with self._loading:
            if self._version == version:
                return
            rows = await storing.fetch(_RULES)
            wanted = {row["id"]: row for row in rows if row["id"] is not None}
            for gone in self._rules.keys() - wanted.keys():
                self._forget(gone)
            unreadable = 0
            async for id_, row in _with_turns(wanted.items()):
                rule = self._rules.get(id_)
                if rule and (rule.name, rule.text) == (row["name"], row["query"]):
                    continue
                self._forget(id_)
                try:
                    self._add(Rule(id_, row["name"], row["query"], parse(row["query"])))
                except QueryError as error:
                    unreadable += 1
                    log.warning("alert_rule_unreadable", rule=str(id_), error=error.message)
            ALERT_RULES_UNREADABLE.set(unreadable)
            self._version = rows[0]["version"]

    def _add(self, rule: Rule) -> None:
        self._index.add(rule.id, rule.query)
        self._rules[rule.id] = rule
        if needs_signal(rule.query):
            self._with_signal.add(rule.id)

    def _forget(self, id_: UUID) -> None:
        self._index.remove(id_)
        self._rules.pop(id_, None)
        self._with_signal.discard(id_)

    async def _write_posts(self, storing: Connection, rows: Sequence[Enriched], since: datetime, now: datetime) -> None:
        standing = [
            row
            for row in rows
            if row.mode != "backfill" and not row.late and row.removed_by is None and row.created_utc > since
        ]
        if not standing:
            return
        # A refresh carries no text.
        unsaid = list({row.id for row in standing if row.body is UNSET})
        bodies = {row["id"]: row["body"] for row in await storing.fetch(_BODIES, unsaid)} if unsaid else {}
        ids = {row.id for row in standing}
        signals = await _go_on(storing, "subject", ids, since) if self._with_signal else {}
        posts = (
            met_post(row, bodies.get(row.id) if row.body is UNSET else row.body, signals.get(row.id, ()))
            for row in standing
        )
        seen = _newest((row.id, row.observed_at) for row in rows)
        await self._store(storing, "post", await self._found(posts, self._rules), seen, now)

    async def _write_signals(self, storing: Connection, rows: Sequence[Signal], since: datetime, now: datetime) -> None:
        """Only rules that ask for signals: all others were asked when the post was stored."""
        about_posts = {row.subject for row in rows if row.subject_kind == "post" and row.ended_at is None}
        if about_posts:
            # Posts that are being stored are stored then, or see these signals: neither misses the other.
            await keep_posts_as_they_are(storing)
            signals = await _go_on(storing, "subject", about_posts, since)
            stored = await storing.fetch(_POSTS_WITH_SIGNALS, list(signals), since)
            posts = (stored_post(**dict(row), signals=signals[row["id_"]]) for row in stored)
            seen = {row["id_"]: row["observed_at"] for row in stored}
            await self._store(storing, "post", await self._found(posts, self._with_signal), seen, now)
        others = {row.id for row in rows if row.subject_kind != "post" and row.ended_at is None}
        if others:
            signals = await _go_on(storing, "id", others, since)
            about = await what_is_known(storing, [signal for (signal,) in signals.values()])
            met = (met_signal(id_, signal, about[id_]) for id_, (signal,) in signals.items())
            await self._store(
                storing, "signal", await self._found(met, self._with_signal), dict.fromkeys(others, now), now
            )

    async def _found(self, things: Iterable[Met], asked: Collection[UUID]) -> dict[tuple[UUID, str], Met]:
        """By rule and subject, what was met first. `asked`: the rules that count."""
        found: dict[tuple[UUID, str], Met] = {}
        async for met in _with_turns(things):
            for id_ in self._index.matches(met.document):
                if id_ in asked:
                    found.setdefault((id_, met.subject), met)
        return found

    async def _store(
        self,
        storing: Connection,
        kind: Kind,
        found: Mapping[tuple[UUID, str], Met],
        seen: Mapping[str, datetime],
        now: datetime,
    ) -> None:
        """Store what is new of it. `seen`: the newest observation of each subject in this flush."""
        if not found:
            return
        keys = sorted(found)
        rows = await storing.fetch(
            _NEW[kind], [rule for rule, _ in keys], [subject for _, subject in keys], [seen[key[1]] for key in keys]
        )
        new: list[tuple[UUID, UUID, str, str]] = []
        async for row in _with_turns(rows):
            key = rule_id, subject = keys[row["n"] - 1]
            # Rules may have been loaded again meanwhile.
            if rule := self._rules.get(rule_id):
                # The same when it is written again, as after the database was put back: so receivers know a repetition.
                id_ = uuid.uuid5(rule_id, f"{kind} {subject}")
                new.append((id_, rule_id, subject, encode(alert_of(found[key], rule, id_, now)).decode()))
        if new:
            ids, rules, subjects, alerts = map(list, zip(*new, strict=True))
            ALERT_MATCHES.labels(kind=kind).inc(await storing.fetchval(_STORE, ids, rules, kind, subjects, alerts))


def _newest(seen: Iterable[tuple[str, datetime]]) -> dict[str, datetime]:
    newest: dict[str, datetime] = {}
    for id_, at in seen:
        newest[id_] = max(at, newest.get(id_, at))
    return newest


async def _go_on(
    storing: Connection, column: Literal["subject", "id"], wanted: Collection[str], since: datetime
) -> dict[str, list[StoredSignal]]:
    """The signals that go on, of these posts or with these ids and about none, by this column."""
    found: dict[str, list[StoredSignal]] = {}
    for row in await storing.fetch(_GO_ON.format(which=column), list(wanted), column == "subject", since):
        found.setdefault(row[column], []).append(stored_signal(row))
    return found


async def _with_turns(items: Iterable[ItemT]) -> AsyncIterator[ItemT]:
    """The items, with a turn for others whenever making and handling them took TURN_SECONDS."""
    began = steady()
    for item in items:
        yield item
        if steady() - began > TURN_SECONDS:
            await asyncio.sleep(0)
            began = steady()
