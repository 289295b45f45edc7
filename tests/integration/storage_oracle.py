"""What the tables must hold after a log of observations, computed in plain Python without code of the writer."""

from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from msgspec.structs import replace

from signalflow.events import Enriched

CARRIED = ("subreddit", "author", "title", "permalink", "created_utc", "removed_by")
# Not every source tells these.
OF_THE_SCORE = (
    "current_score", "current_ratio", "score_velocity", "comment_velocity", "trend_velocity", "trending_score",
    "is_trending",
)  # fmt: skip
OF_THE_DETAILS = ("url", "flair", "over_18", "is_self", "edited_at", "current_comments")


class Oracle:
    """Tables as dictionaries: posts by id, history by (id, moment), sentiment by id."""

    def __init__(self) -> None:
        self.posts: dict[str, dict[str, Any]] = {}
        self.history: dict[tuple[str, datetime], dict[str, Any]] = {}
        self.sentiment: dict[str, float] = {}
        self._observations: dict[str, list[Enriched]] = {}

    def apply(self, row: Enriched) -> None:
        """Apply one observation."""
        if row.removed_by:
            row = replace(row, title="", author=None, url=None, permalink=None, flair=None, body=None)
        has_numbers = row.current_score is not None and row.current_comments is not None
        if row.mode != "backfill" and has_numbers and (row.id, row.observed_at) not in self.history:
            self.history[row.id, row.observed_at] = {
                "post_id": row.id,
                "observed_at": row.observed_at,
                "score": row.current_score,
                "num_comments": row.current_comments,
                "upvote_ratio": row.current_ratio,
                "score_velocity": row.score_velocity,
                "comment_velocity": row.comment_velocity,
                "trend_velocity": row.trend_velocity,
            }
        post = self.posts.get(row.id)
        if post is None:
            post = {"id": row.id, "last_polled_at": None, "text_observed_at": None, "body": None}
            post["not_shown_since"] = None
            post["erased_until"] = None
            post["first_seen_at"] = row.first_seen_at
            self.posts[row.id] = post
        post["first_seen_at"] = min(post["first_seen_at"], row.first_seen_at)
        if post["last_polled_at"] is None or row.observed_at > post["last_polled_at"]:
            post["last_polled_at"] = row.observed_at
            for name in CARRIED:
                post[name] = getattr(row, name)
            self.sentiment[row.id] = row.nlp.sentiment_score
        if row.removed_by:
            post["erased_until"] = max(row.observed_at, post["erased_until"] or row.observed_at)
        seen = self._observations.setdefault(row.id, [])
        seen.append(row)
        with_score = [one for one in seen if one.current_score is not None]
        with_comments = [one for one in seen if one.current_comments is not None]
        with_kind = [one for one in seen if one.is_self is not None]
        for names, moment, tellers in (
            (OF_THE_SCORE, "score_observed_at", with_score or seen),
            (OF_THE_DETAILS, "details_observed_at", with_comments or with_kind or seen),
        ):
            # max gives the first of equals, as the first of a moment counts.
            teller = max(tellers, key=lambda one: one.observed_at)
            post[moment] = None if teller.observed_at == post["last_polled_at"] else teller.observed_at
            for name in names:
                post[name] = getattr(teller, name)
        carries_text = isinstance(row.body, str) or row.body is None
        if carries_text and (post["text_observed_at"] is None or row.observed_at > post["text_observed_at"]):
            post["body"], post["text_observed_at"] = row.body, row.observed_at
        self._erase(post)

    def _erase(self, post: dict[str, Any]) -> None:
        """Take away what was observed until the newest removal."""
        until = post["erased_until"]
        if until is None:
            return
        if post["last_polled_at"] <= until:
            post |= {"title": "", "author": None, "permalink": None}
            self.sentiment.pop(post["id"], None)
        if (post["details_observed_at"] or post["last_polled_at"]) <= until:
            post |= {"url": None, "flair": None}
        if post["text_observed_at"] is not None and post["text_observed_at"] <= until:
            post["body"] = None

    def hourly(self) -> list[dict[str, Any]]:
        """The hourly rollup of the history, by post and hour."""

        def hour_of(row: dict[str, Any]) -> tuple[str, datetime]:
            moment: datetime = row["observed_at"]
            inside = timedelta(minutes=moment.minute, seconds=moment.second, microseconds=moment.microsecond)
            return row["post_id"], moment - inside

        rollup = []
        for (post_id, bucket), group in groupby(sorted(self.history.values(), key=hour_of), key=hour_of):
            rows = list(group)
            scores = [row["score"] for row in rows]
            rollup.append(
                {
                    "post_id": post_id,
                    "bucket": bucket,
                    "observations": len(rows),
                    "min_score": min(scores),
                    "max_score": max(scores),
                    "avg_score": sum(scores) / len(rows),
                    "max_comments": max(row["num_comments"] for row in rows),
                    "max_score_velocity": _max_known(rows, "score_velocity"),
                    "max_comment_velocity": _max_known(rows, "comment_velocity"),
                }
            )
        return rollup


def _max_known(rows: list[dict[str, Any]], name: str) -> float | None:
    return max((row[name] for row in rows if row[name] is not None), default=None)
