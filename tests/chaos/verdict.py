"""The result of a run: tables compared with topics, topics with confirmed records, Reddit's truth with tables."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import orjson

from signalflow.domain.positions import Break
from signalflow.errors import SignalflowError
from signalflow.kafka.topic_ids import topic_ids
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.verify.log import TopicLog
from signalflow.verify.report import Report
from signalflow.verify.run import verify
from tests.chaos import poison
from tests.chaos.alerts import Alerts
from tests.chaos.comments import Comments, stored_comments
from tests.chaos.faults.base import Run, stored_observations
from tests.chaos.poison_verdict import (
    DAMAGED,
    Found,
    Place,
    PoisonVerdict,
    judge_damaged,
    judge_poison,
    mark_of,
    source_of,
)
from tests.chaos.waiting import happens, runs_out
from tests.integration.signals_of_tests import follow
from tests.integration.workers import fetch_all, read_topic

LAG_SECONDS = 240.0
# What is not stored by then is looked for in gaps. When no more of the others come for so long, they will not come.
SETTLE_SECONDS = 120.0
STILL_SECONDS = 3.0
# The workers may notice a new topic before the harness does.
NOTICED_EARLIER_SECONDS = 30.0
# Brokers and workers that were ended together are back by then, and have compared the logs.
NOTICED_WITHIN_SECONDS = 60.0
_GAPS = """
SELECT subreddits, since, COALESCE(until, closed_at, now()) AS until FROM listing_gaps
WHERE kind = 'posts' AND (outcome IS NULL OR outcome IN ('given_up', 'unreachable'))
"""


@dataclass
class Verdict:
    """All findings. `raw_times`, `repeats`: when raw and repeated enriched records were appended, in epoch seconds.

    `disappeared`: rows that were stored before the raw log began anew or was cut, and are no longer. `lost_with_a_log`:
    how many confirmed observations only that log held.
    """

    report: Report
    unsettled: list[str]
    not_in_log: list[str]
    disappeared: list[str]
    lost_with_a_log: int
    never_stored: list[str]
    visible: int
    poison: dict[str, PoisonVerdict]
    raw_times: list[float]
    repeats: list[float]
    comments: Comments = field(default_factory=Comments)
    alerts: Alerts = field(default_factory=Alerts)

    @property
    def lost(self) -> int:
        """The number of rows and records that are missing."""
        tables = self.report.tables.values()
        missing = sum(table.missing for table in tables)
        others = (self.not_in_log, self.never_stored, self.disappeared, self.comments.lost, self.alerts.lost)
        return missing + sum(map(len, others))

    @property
    def duplicated(self) -> int:
        """The number of rows that exist twice or should not exist."""
        extra = sum(table.duplicated + table.extra for table in self.report.tables.values())
        return extra + len(self.comments.extra) + len(self.alerts.extra)

    @property
    def wrong(self) -> int:
        """The number of rows with a wrong value."""
        return sum(table.wrong for table in self.report.tables.values())

    @property
    def findings(self) -> list[str]:
        """All that is wrong, in words."""
        found = [f"{name}: {text}" for name, table in self.report.tables.items() for text in table.examples]
        found += [f"confirmed, and not in the log: {text}" for text in self.not_in_log[:5]]
        found += [f"stored before the log broke, and gone: {text}" for text in self.disappeared[:5]]
        found += [f"visible, and in no table or gap: {text}" for text in self.never_stored[:5]]
        found += [f"comment {text}, and not stored" for text in self.comments.lost[:5]] + self.comments.extra[:5]
        found += [f"alert: {text}" for text in self.alerts.lost[:5] + self.alerts.extra[:5]]
        found += [f"poison, {kind}: {text}" for kind, each in self.poison.items() for text in each.examples[:5]]
        return self.unsettled + found


async def settle_reddit(run: Run, since: float) -> tuple[int, list[str]]:
    """Wait until all posts that Reddit shows since their creation are stored.

    Returns their number, and the posts that are neither stored nor in a recorded gap, which may stay open for long.
    """
    until = time.time() - 30.0
    shown: list[dict[str, Any]] = []
    lost: list[dict[str, Any]] = []

    async def missing() -> list[dict[str, Any]]:
        truth = await run.cluster.reddit.truth(
            created_after=since, created_before=until, visible=1, fields="id,subreddit,created,visible"
        )
        shown[:] = [post for post in truth["posts"] if _always_visible(post)]
        rows = await fetch_all(run.cluster.settings, "SELECT id FROM posts WHERE id ~ '^[0-9]'")
        stored = {row["id"] for row in rows}
        return [post for post in shown if post["id"] not in stored]

    async def all_are_stored() -> bool:
        return not await missing()

    async def unexplained_ones() -> int:
        absent = await missing()
        gaps = await fetch_all(run.cluster.settings, _GAPS)
        recorded = [
            (set(map(str.lower, gap["subreddits"])), gap["since"].timestamp(), gap["until"].timestamp() + 1.0)
            for gap in gaps
        ]
        # The poller does not publish again what was confirmed before the raw log began anew or was cut.
        breaks = (*run.lost_with_a_log.anew_at, *run.lost_with_a_log.cut_at)
        lost[:] = [
            post
            for post in absent
            if not any(
                post["subreddit"].lower() in names and begin <= post["created"] < end for names, begin, end in recorded
            )
            and not any(post["created"] <= at for at in breaks)
        ]
        return len(lost)

    await happens(all_are_stored, SETTLE_SECONDS)
    await runs_out(unexplained_ones, SETTLE_SECONDS)
    return len(shown), [f"{post['id']} in {post['subreddit']}" for post in lost]


def _always_visible(post: dict[str, Any]) -> bool:
    """Whether listings have shown the post from its first second until now.

    A post that moderators release later enters a listing in the middle, where the poller may not look any more. We do
    not promise to see it.
    """
    return any(begin <= post["created"] + 1 and end is None for begin, end in post["visible"])


async def still(settings: Settings) -> list[str]:
    """Wait until nothing new is published and everything is committed. Returns what is not, in words."""
    names, log = TopicNames.of(settings), TopicLog(settings, settings.app_id)
    last: dict[str, Any] = {"ends": None, "at": 0.0, "lag": "unknown"}

    async def settled() -> bool:
        try:
            ends = {
                topic: (await log.extent(topic)).ends
                for topic in (
                    *(names.posts_raw, names.posts_enriched, names.posts_dlq),
                    *(names.comments_raw, names.signal_inputs, names.term_inputs, names.signals),
                )
            }
            stored_apart = {
                topic: await log.reached(topic)
                for topic in (names.comments_raw, names.signal_inputs, names.term_inputs, names.signals)
            }
            committed = await log.committed(names.posts_raw, names.posts_enriched, names.posts_dlq)
        except SignalflowError as error:
            last.update(lag=str(error))
            return False
        if ends != last["ends"]:
            last.update(ends=ends, at=time.time())
        raw = ends[names.posts_raw]
        letters = {p: e for p, e in ends[names.posts_dlq].items() if e}
        behind = {
            "enriched": {p: e - committed.enriched.get(p, 0) for p, e in raw.items()},
            "stored": {p: e - committed.written.get(p, 0) for p, e in committed.enriched_ends.items()},
            **{
                topic: {p: e - reached.get(p, 0) for p, e in ends[topic].items() if e}
                for topic, reached in stored_apart.items()
            },
            "letters": {p: e - (committed.letters or {}).get(p, 0) for p, e in letters.items()},
        }
        last.update(lag={what: sum(lags.values()) for what, lags in behind.items()})
        return not any(last["lag"].values()) and time.time() - last["at"] > STILL_SECONDS

    return (
        []
        if await happens(settled, LAG_SECONDS)
        else [f"not all is committed after {LAG_SECONDS:.0f} s: {last['lag']}"]
    )


async def judge(
    run: Run, visible: int, never_stored: list[str], unsettled: list[str], comments: Comments, alerts: Alerts
) -> Verdict:
    """Compare everything, after the run has come to rest. `comments` and `alerts` were compared before."""
    settings, names = run.settings, TopicNames.of(run.settings)
    report = await verify(settings, TopicNames.of(settings), follow=follow)
    stored = await stored_observations(settings)
    ids = await topic_ids(settings, names.consumed)
    raw, raw_damaged = _without_damaged(await read_topic(settings, names.posts_raw))
    enriched, enriched_damaged = _without_damaged(await read_topic(settings, names.posts_enriched))
    letters, letters_damaged = _without_damaged(await read_topic(settings, names.posts_dlq))
    enriched = run.stored_with_a_log.enriched + enriched
    rows = await _letter_rows(settings, ids)
    of_comments, comments_damaged = await _poisoned(settings, names.comments_raw)
    of_signals, signals_damaged = await _poisoned(settings, names.signal_inputs, names.term_inputs, names.signals)
    posts = {row["id"] for row in await fetch_all(settings, "SELECT id FROM posts")}
    found = Found(raw, enriched, letters, rows, of_comments, of_signals, await stored_comments(run) | posts)
    poisons = judge_poison(run, names, ids[names.posts_raw], found)
    if damaged := raw_damaged + enriched_damaged + letters_damaged + comments_damaged + signals_damaged:
        poisons[DAMAGED] = judge_damaged(damaged, rows)
    in_log = {(record.key, _observed_at(record.value)) for record in raw if mark_of(record) is None}
    not_in_log = [f"{post} {at}" for post, at in run.load.confirmed if (post.encode(), at) not in in_log]
    unsettled = list(unsettled)
    if report.records_due != report.records:
        unsettled.append(f"of {report.records} records only {report.records_due} are due")
    lost = run.lost_with_a_log
    for topic, reason, times in (
        (names.posts_raw, Break.TOPIC_MADE_ANEW, lost.anew_at),
        (names.posts_enriched, Break.TOPIC_MADE_ANEW, run.stored_with_a_log.at),
        (names.posts_raw, Break.LOG_CUT, outlived(lost.cut_and_read, lost.anew_at)),
    ):
        unsettled += await _not_reported(run, topic, reason, times)
    return Verdict(
        report,
        unsettled,
        not_in_log,
        sorted(f"{post} at {at}" for post, at in lost.stored - stored),
        len({each for each in lost.sent if each not in stored}),
        never_stored,
        visible,
        poisons,
        sorted(record.timestamp / 1000 for record in raw),
        _repeats([record for record in enriched if mark_of(record) is None]),
        comments,
        alerts,
    )


async def _poisoned(settings: Settings, *topics: str) -> tuple[list[Any], list[Place]]:
    """The poisoned records of these topics, and apart from them the places of those in damaged batches."""
    records, damaged = _without_damaged([each for topic in topics for each in await read_topic(settings, topic)])
    return [record for record in records if mark_of(record) is not None], damaged


def _without_damaged(records: list[Any]) -> tuple[list[Any], list[Place]]:
    """The records, and apart from them the places of those in damaged batches."""
    damaged = [(each.topic, each.partition, each.offset) for each in records if poison.is_damaged(each)]
    return [each for each in records if not poison.is_damaged(each)], damaged


def _observed_at(value: bytes) -> datetime | None:
    return datetime.fromisoformat(orjson.loads(value)["metadata"]["observed_at"]).astimezone(UTC)


def _repeats(enriched: list[Any]) -> list[float]:
    seen: set[tuple[int, int]] = set()
    repeats = []
    for record in enriched:
        source = source_of(record)
        if source in seen:
            repeats.append(record.timestamp / 1000)
        seen.add(source)
    return sorted(repeats)


async def _not_reported(run: Run, topic: str, reason: Break, times: Sequence[float]) -> list[str]:
    """What the workers must have recorded about a log that broke at these times, and have not."""
    rows = await fetch_all(
        run.settings,
        "SELECT noticed_at FROM log_breaks WHERE topic = $1 AND reason = $2 ORDER BY noticed_at",
        topic,
        reason.value,
    )
    noticed = [row["noticed_at"].timestamp() for row in rows]
    return [
        f"{topic} broke at {at - run.began:.0f} s ({reason}), and log_breaks does not say so"
        for at in unnoticed(times, noticed)
    ]


def unnoticed(happened: Sequence[float], noticed: Sequence[float]) -> list[float]:
    """The times, in order, at which something happened that nobody noticed before it happened again."""
    return [
        at
        for at, following in pairwise([*happened, float("inf")])
        if not any(at - NOTICED_EARLIER_SECONDS < moment < following for moment in noticed)
    ]


def outlived(cuts: Sequence[float], made_anew: Sequence[float]) -> list[float]:
    """The times of cuts that workers had time to notice before the log was made anew, which tells more than the cut."""
    return [cut for cut in cuts if not any(cut < at < cut + NOTICED_WITHIN_SECONDS for at in made_anew)]


async def _letter_rows(settings: Settings, ids: Mapping[str, UUID]) -> Counter[Place]:
    rows = await fetch_all(
        settings,
        "SELECT source_topic, source_partition, source_offset FROM dlq_events"
        " WHERE attempt = 1 AND topic_id = ANY ($1::uuid[])",
        list(ids.values()),
    )
    return Counter((row["source_topic"], row["source_partition"], row["source_offset"]) for row in rows)
