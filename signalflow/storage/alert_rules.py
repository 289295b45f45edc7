"""Table alert_rules: queries, and the targets that are told what meets them.

A rule tells news. What met it already when it was saved is noted in the same transaction, and is never told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from signalflow.domain.queries.evaluate import Document, condition_of, document_of
from signalflow.domain.queries.language import parse
from signalflow.domain.queries.tree import Signal
from signalflow.errors import Invalid
from signalflow.storage import audit
from signalflow.storage.alert_subjects import COMMENTS, NEWS_FOR, POSTS
from signalflow.storage.alert_targets import changing, checked_name
from signalflow.storage.pool import Connection, Pool, connection, values_of
from signalflow.storage.query_sql import comment_condition, post_condition

MOST_RULES = 10_000
MOST_TARGETS_A_RULE = 20
# Of posts and of comments that meet a rule when it is saved. It takes some seconds to note so many, and nobody wants to
# be told of one each second.
MOST_MET = 100_000

_SELECT = """
SELECT r.id, r.name, r.query, r.created_by, r.created_at, r.changed_at, r.paused_at,
    ARRAY(SELECT target_id FROM alert_rule_targets WHERE rule_id = r.id ORDER BY target_id) AS target_ids,
    (
        SELECT matched_at FROM alert_matches WHERE rule_id = r.id AND alert IS NOT NULL
        ORDER BY matched_at DESC, id DESC LIMIT 1
    ) AS last_match_at
FROM alert_rules AS r
"""
_PAGE = f"""{_SELECT}
WHERE $1::timestamptz IS NULL OR (r.created_at, r.id) < ($1, $2::uuid)
ORDER BY r.created_at DESC, r.id DESC LIMIT $3"""
_ONE = f"{_SELECT} WHERE r.id = $1"
_ADD = "INSERT INTO alert_rules (id, name, query, created_by) VALUES ($1, $2, $3, $4)"
_CHANGE = """
UPDATE alert_rules SET name = $2, query = $3, changed_at = now(),
    paused_at = CASE WHEN $4 THEN COALESCE(paused_at, now()) END
WHERE id = $1
"""
_REMOVE = "DELETE FROM alert_rules WHERE id = $1"
_HAS_NO_MORE = "DELETE FROM alert_rule_targets WHERE rule_id = $1 AND target_id <> ALL ($2::uuid[])"
_HAS = "INSERT INTO alert_rule_targets (rule_id, target_id) SELECT $1, unnest($2::uuid[]) ON CONFLICT DO NOTHING"
_KNOWN_TARGETS = "SELECT id FROM alert_targets WHERE id = ANY ($1::uuid[])"
# In the order of ids, as the writers of posts insert, so that the two cannot deadlock. Returns how many meet the rule.
_NOTE = """
WITH met AS MATERIALIZED (
    SELECT {id} AS id FROM {source} WHERE {created} > now() - $2::interval AND ({condition}) ORDER BY {id} LIMIT $3
), noted AS (
    INSERT INTO alert_matches (id, rule_id, kind, subject)
    SELECT gen_random_uuid(), $1, '{kind}', id FROM met ORDER BY id ON CONFLICT DO NOTHING
)
SELECT count(*) FROM met
"""
_OTHER_SIGNALS = """
SELECT id, kind, subreddit FROM signals
WHERE subject_kind <> 'post' AND ended_at IS NULL AND started_at > now() - $1::interval ORDER BY id
"""
_NOTE_SIGNALS = """
INSERT INTO alert_matches (id, rule_id, kind, subject)
SELECT gen_random_uuid(), $1, 'signal', id FROM unnest($2::text[]) AS given (id) ON CONFLICT DO NOTHING
"""

# Creation and id of the last rule of a page.
RuleKey = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A rule. `last_match_at`: when it last met something new; None: never, or it is no longer kept."""

    id: UUID
    name: str
    query: str
    created_by: str
    created_at: datetime
    changed_at: datetime
    paused_at: datetime | None
    target_ids: list[UUID]
    last_match_at: datetime | None

    @property
    def key(self) -> RuleKey:
        """Its place in a list."""
        return self.created_at, self.id


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A change of a rule; a field that is None stays as it is."""

    name: str | None = None
    query: str | None = None
    target_ids: Sequence[UUID] | None = None
    paused: bool | None = None


async def rules_page(pool: Pool, *, before: RuleKey | None, limit: int) -> list[AlertRule]:
    """The newest rules, or the newest before this creation and id."""
    async with connection(pool) as reading:
        return [AlertRule(**values_of(row)) for row in await reading.fetch(_PAGE, *(before or (None, None)), limit)]


async def one_rule(pool: Pool, id_: UUID) -> AlertRule | None:
    """The rule with this id, if there is one."""
    async with connection(pool) as reading:
        return await _found(reading, id_)


async def add_rule(pool: Pool, name: str, query: str, target_ids: Sequence[UUID], *, by: str) -> AlertRule:
    """Make a rule.

    Raises QueryError for a text that is no query, and Invalid for a name that cannot be one, for unknown targets, and
    when a limit is reached.
    """
    parse(query)
    name = checked_name(name)
    async with changing(pool) as writing:
        if await writing.fetchval("SELECT count(*) FROM alert_rules") >= MOST_RULES:
            raise Invalid(f"there are {MOST_RULES:,} rules, as many as may be: remove one", field="name")
        id_ = uuid4()
        await writing.execute(_ADD, id_, name, query, by)
        await _set_targets(writing, id_, target_ids)
        await _note_what_is_met(writing, id_, query)
        rule = await _found(writing, id_)
        assert rule is not None
        await _record(writing, "alert_rule.add", rule, by)
    return rule


async def change_rule(pool: Pool, id_: UUID, change: RuleChange, *, by: str) -> AlertRule | None:
    """Change a rule; None when there is none. One that goes on, or asks for something else, tells news only.

    Raises as `add_rule` does.
    """
    if change.query is not None:
        parse(change.query)
    async with changing(pool) as writing:
        before = await _found(writing, id_)
        if before is None:
            return None
        was_paused = before.paused_at is not None
        paused = was_paused if change.paused is None else change.paused
        query = before.query if change.query is None else change.query
        name = before.name if change.name is None else checked_name(change.name)
        await writing.execute(_CHANGE, id_, name, query, paused)
        if change.target_ids is not None:
            await _set_targets(writing, id_, change.target_ids)
        if not paused and (was_paused or query != before.query):
            await _note_what_is_met(writing, id_, query)
        after = await _found(writing, id_)
        assert after is not None
        await _record(writing, "alert_rule.change", after, by)
    return after


async def remove_rule(pool: Pool, id_: UUID, *, by: str) -> bool:
    """Remove a rule with what it met. Targets stay. Returns whether there was one."""
    async with changing(pool) as writing:
        rule = await _found(writing, id_)
        if rule is None:
            return False
        await writing.execute(_REMOVE, id_)
        await _record(writing, "alert_rule.remove", rule, by)
    return True


async def _set_targets(writing: Connection, id_: UUID, target_ids: Sequence[UUID]) -> None:
    wanted = list(dict.fromkeys(target_ids))
    if len(wanted) > MOST_TARGETS_A_RULE:
        raise Invalid(f"a rule has at most {MOST_TARGETS_A_RULE} targets, not {len(wanted)}", field="target_ids")
    known = {row["id"] for row in await writing.fetch(_KNOWN_TARGETS, wanted)}
    for target_id in wanted:
        if target_id not in known:
            raise Invalid(f"there is no target {target_id}", field="target_ids")
    await writing.execute(_HAS_NO_MORE, id_, wanted)
    await writing.execute(_HAS, id_, wanted)


async def _note_what_is_met(writing: Connection, id_: UUID, text: str) -> None:
    """Note the posts, comments and signals of the database that meet the rule already."""
    query = parse(text)
    for kind, source, subject, created, condition_in in (
        ("post", POSTS, "p.id", "p.created_utc", post_condition),
        ("comment", COMMENTS, "c.id", "c.created_utc", comment_condition),
    ):
        parameters: list[Any] = [id_, NEWS_FOR, MOST_MET + 1]

        def bound(value: object, parameters: list[Any] = parameters) -> str:
            parameters.append(value)
            return f"${len(parameters)}"

        condition = condition_in(query, bound)
        statement = _NOTE.format(kind=kind, id=subject, source=source, created=created, condition=condition)
        if await writing.fetchval(statement, *parameters) > MOST_MET:
            hours = NEWS_FOR // timedelta(hours=1)
            message = f"more than {MOST_MET:,} {kind}s of the last {hours} hours meet this query: ask for less"
            raise Invalid(message, field="query")
    meets = condition_of(query)
    signals = await writing.fetch(_OTHER_SIGNALS, NEWS_FOR)
    met = [row["id"] for row in signals if meets(_of_signal(row["kind"], row["subreddit"]))]
    await writing.execute(_NOTE_SIGNALS, id_, met)


def _of_signal(kind: Signal, subreddit: str | None) -> Document:
    """A signal about no single post, as rules see it."""
    return document_of("post", subreddit=subreddit or "", signals=[kind])


async def _found(reading: Connection, id_: UUID) -> AlertRule | None:
    row = await reading.fetchrow(_ONE, id_)
    return None if row is None else AlertRule(**values_of(row))


async def _record(writing: Connection, action: str, rule: AlertRule, by: str) -> None:
    details = {
        "name": rule.name,
        "query": rule.query,
        "targets": [str(target_id) for target_id in rule.target_ids],
        "paused": rule.paused_at is not None,
    }
    await audit.record(writing, who=by, action=action, target=str(rule.id), details=details)
