"""The answer to /__truth: what really happened, for tests to compare with."""

from collections.abc import Iterator, Mapping
from typing import Any

from signalflow.errors import Invalid
from signalflow.simulator.comments import MAX_PLACE, comment_at, parent_name
from signalflow.simulator.posts import Post
from signalflow.simulator.text import Texts
from signalflow.simulator.trees import depth_of
from signalflow.simulator.world import RETENTION, World


def truth(world: World, texts: Texts, query: Mapping[str, str], now: float) -> dict[str, Any]:
    """Posts, stories and bursts as they were at `at` (default: now; the future is not told). Times are epoch seconds.

    Filters: created_after (inclusive; default: two days ago) and created_before, also called since and until; ids
    (comma-separated, t3_ optional); subreddit (comma-separated); visible=1 (ever shown in a listing); fields
    (comma-separated keys of a post). Scores are true, without fuzz. With comments=1 also the comments that were written
    in that time under posts of the last two days, by the filters of their posts' ids and subreddits. Raises Invalid
    when a time is not a number.
    """
    at = min(_number(query, "at", now), now)
    start = _number(query, "created_after", _number(query, "since", max(world.begin, at - RETENTION)))
    end = min(_number(query, "created_before", _number(query, "until", at + 1.0)), at + 1e-6)
    fields = [field for field in query.get("fields", "").split(",") if field]
    subs = {name.lower() for name in query.get("subreddit", "").split(",") if name}
    posts = [post for post in _posts(world, query, start, end, at) if not subs or post.subreddit.key in subs]
    comments: dict[str, Any] = {}
    if query.get("comments") == "1":
        under = (
            post for post in _posts(world, query, at - RETENTION, end, at) if not subs or post.subreddit.key in subs
        )
        comments["comments"] = [row for post in under for row in _comments(post, start, end, at)]
    rows = [_row(post, at, texts, fields) for post in posts if "visible" not in query or _visible_spans(post, at)]
    return {
        "now": now,
        "at": at,
        "epoch": world.parameters.epoch,
        "begin": world.begin,
        "seed": world.parameters.seed,
        "fuzz": world.parameters.fuzz,
        "posts": rows,
        "stories": _stories(world, start, end, at),
        "bursts": [{"subreddit": sub.name, "start": begun} for sub, begun in world.bursts_between(start, end)],
    } | comments


def _posts(world: World, query: Mapping[str, str], start: float, end: float, at: float) -> list[Post]:
    if "ids" not in query:
        return world.new_posts_between(start, end)
    wanted = (world.post(name.strip().removeprefix("t3_"), at) for name in query["ids"].split(","))
    return [post for post in wanted if post is not None]


def _row(post: Post, at: float, texts: Texts, fields: list[str]) -> dict[str, Any]:
    """A post with all its fields, or only with `fields`, which keep answers about many posts small."""
    row: dict[str, Any] = {
        "id": post.id,
        "subreddit": post.subreddit.name,
        "created": post.created,
        "created_utc": int(post.created),
        "score": post.score_at(at),
        "num_comments": post.comments_at(at),
        "removed_by": post.removed_by(at),
        "visible": [[begun, ended] for begun, ended in _visible_spans(post, at)],
        "visible_now": post.visible_at(at),
        "life": [{"at": event.at, "kind": event.kind} for event in post.life if event.at <= at],
        "story": post.story,
        "kind": post.kind,
        "over_18": post.over_18,
    }
    if not fields or "title" in fields:
        row["title"] = texts.of(post).title
    return {key: row[key] for key in fields if key in row} if fields else row


def _comments(post: Post, start: float, end: float, at: float) -> Iterator[dict[str, Any]]:
    """The comments of a post that were written in [start, end), oldest first, as they are at `at`."""
    for place in range(max(post.comments_at(start), 1), min(post.comments_at(end) + 1, MAX_PLACE) + 1):
        comment = comment_at(post, place, at)
        if comment is None or not start <= comment.created < end:
            continue
        yield {
            "id": comment.id,
            "post_id": post.id,
            "subreddit": post.subreddit.name,
            "parent_id": parent_name(comment),
            "depth": depth_of(post, place),
            "created": comment.created,
            "created_utc": int(comment.created),
            "author": comment.author,
            "body": comment.body,
            "score": comment.score_at(at),
            "deleted_at": comment.deleted_at if comment.deleted_at is not None and comment.deleted_at <= at else None,
            "visible_now": post.visible_at(at),
        }


def _visible_spans(post: Post, at: float) -> list[tuple[float, float | None]]:
    known = [(begun, ended) for begun, ended in post.visible_spans() if begun <= at]
    return [(begun, ended if ended is not None and ended <= at else None) for begun, ended in known]


def _stories(world: World, start: float, end: float, at: float) -> list[dict[str, Any]]:
    found = world.stories_between(start, end)
    if not found:
        return []
    first = min(story.start for story in found)
    last = max(story.posts[-1].created for story in found)
    members: dict[str, list[str]] = {}
    for post in world.new_posts_between(first, min(last, at) + 1e-6):
        if post.story is not None:
            members.setdefault(post.story, []).append(post.id)
    return [
        {
            "id": story.id,
            "kind": story.kind,
            "start": story.start,
            "subreddits": sorted({post.subreddit.name for post in story.posts if post.created <= at}),
            "posts": members.get(story.id, []),
        }
        for story in found
    ]


def _number(query: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(query.get(name, default))
    except ValueError:
        raise Invalid(f"{name} must be a number of seconds, not {query[name]!r}", field=name) from None
