"""Observations of a subreddit for tests."""

from collections.abc import Iterable
from typing import Any

from signalflow.domain.signals.subreddit import Change, Seen, SubredditState, follow

SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
# A Monday, 2026-01-05 00:00 UTC.
MONDAY = 1_767_571_200 * SECOND


def discovered(post_id: str, at: int, *, age: int = 20 * SECOND, **fields: Any) -> Seen:
    """A post that is seen for the first time at `at`."""
    return observed(post_id, at, age=age, is_discovery=True, **fields)


def observed(post_id: str, at: int, *, age: int, **fields: Any) -> Seen:
    """A post of this age at `at`."""
    return Seen(
        **{
            "post_id": post_id,
            "created_us": at - age,
            "observed_us": at,
            "is_discovery": False,
            "score": 1,
            "comments": 0,
            "ratio": 1.0,
            "score_velocity": None,
            "is_late": False,
            "is_taken_away": False,
            "is_backfill": False,
            "is_listed": True,
            **fields,
        }
    )


# Of an archive, which is read with the same mode as the first look back.
ARCHIVED = {"is_backfill": True, "is_listed": False}


def looked_back(post_id: str, at: int, *, age: int, **fields: Any) -> Seen:
    """A post that was there before the subreddit was polled, as the first look back finds it at `at`."""
    return discovered(post_id, at, age=age, is_backfill=True, **fields)


def followed(
    seen: Iterable[Seen], state: SubredditState | None = None, subreddit: str = "pics"
) -> tuple[SubredditState, list[Change]]:
    """The state after all observations, and all changes in order."""
    changes: list[Change] = []
    for one in seen:
        state, new = follow(state, subreddit, one)
        changes.extend(new)
    assert state is not None
    return state, changes
