"""Comments of a run: what Reddit shows, what the topic has and what the table has, compared without the oracle."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from signalflow.kafka.topics import TopicNames
from tests.chaos import poison
from tests.chaos.cluster import FOLLOWED
from tests.chaos.faults.base import Run
from tests.chaos.waiting import happens, runs_out
from tests.integration.workers import fetch_all, read_topic

# What is not stored by then is looked for in gaps. When no more of the others come for so long, they will not come.
SETTLE_SECONDS = 120.0
# Comments that were written later may still be on their way.
LATEST_SECONDS = 30.0
_GAPS = """
SELECT subreddits, since FROM listing_gaps
WHERE kind = 'comments' AND (outcome IS NULL OR outcome IN ('given_up', 'unreachable'))
"""


@dataclass
class Comments:
    """`shown`: how many comments Reddit shows and must be stored. `lost`: those that are not, and why they should be.

    `extra`: those that are stored, and that no record tells of.
    """

    shown: int = 0
    lost: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)


async def settle(run: Run, since: float) -> Comments:
    """Wait until all comments of followed subreddits that were written and shown since then are stored.

    A gap may stay open for long; then it is enough that it covers what is missing.
    """
    query = {"created_after": since, "created_before": time.time() - LATEST_SECONDS, "subreddit": ",".join(FOLLOWED)}
    shown: list[dict[str, Any]] = []
    lost: list[dict[str, Any]] = []

    async def missing() -> list[dict[str, Any]]:
        truth = await run.cluster.reddit.truth(**query, comments=1, fields="id")
        # Without created_after the truth has the posts of the last two days.
        posts = await run.cluster.reddit.truth(subreddit=query["subreddit"], fields="id,visible")
        shown[:] = always_shown(truth["comments"], {post["id"]: post["visible"] for post in posts["posts"]})
        stored = await stored_comments(run)
        return [comment for comment in shown if comment["id"] not in stored]

    async def all_are_stored() -> bool:
        return not await missing()

    async def unexplained_ones() -> int:
        absent = await missing()
        gaps = await fetch_all(run.cluster.settings, _GAPS)
        covered = [(set(map(str.lower, gap["subreddits"])), gap["since"].timestamp()) for gap in gaps]
        # The poller does not publish again what was confirmed before the log was cut.
        lost[:] = unexplained(absent, covered, run.lost_with_a_log.cut_at)
        return len(lost)

    await happens(all_are_stored, SETTLE_SECONDS)
    await runs_out(unexplained_ones, SETTLE_SECONDS)
    return Comments(len(shown), [f"{comment['id']} in {comment['subreddit']}, shown by Reddit" for comment in lost])


def always_shown(
    comments: Iterable[dict[str, Any]], visible: Mapping[str, Sequence[tuple[float, float | None]]]
) -> list[dict[str, Any]]:
    """The comments that listings have shown from their first second until now.

    We do not promise to see others: they enter a listing in the middle, or their authors deleted them.
    """
    return [
        comment
        for comment in comments
        if comment["deleted_at"] is None
        and any(begin <= comment["created"] and end is None for begin, end in visible.get(comment["post_id"], ()))
    ]


def unexplained(
    missing: Iterable[dict[str, Any]], gaps: Sequence[tuple[set[str], float]], cut_at: Sequence[float]
) -> list[dict[str, Any]]:
    """The comments that no gap covers and that were written after the last cut of the log.

    `gaps`: subreddits in lower case, and the moment after which comments may be missing.
    """
    return [
        comment
        for comment in missing
        if not any(comment["subreddit"].lower() in names and comment["created"] > since for names, since in gaps)
        and not any(comment["created"] <= at for at in cut_at)
    ]


async def compare_with_topic(run: Run, comments: Comments) -> None:
    """Add the comments that the topic has and the table lacks, and, unless the log was cut, those it does not have."""
    records = await read_topic(run.settings, TopicNames.of(run.settings).comments_raw)
    ours = [each for each in records if poison.HEADER not in dict(each.headers) and not poison.is_damaged(each)]
    published = {orjson.loads(record.value)["payload"]["id"] for record in ours}
    stored = await stored_comments(run) - {f"z{each.number}" for each in run.poisons}
    comments.lost += [f"{id_}, in the topic" for id_ in sorted(published - stored)]
    if not run.lost_with_a_log.cut_at:
        comments.extra += [f"comment {id_} is stored and not in the topic" for id_ in sorted(stored - published)]


async def stored_comments(run: Run) -> set[str]:
    """The ids of all comments in the table."""
    return {row["id"] for row in await fetch_all(run.cluster.settings, "SELECT id FROM comments")}
