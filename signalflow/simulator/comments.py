"""Comments of a post. The k-th exists from `Post.comment_time(k)` on; all else follows from the post and k."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heapreplace
from math import exp
from random import Random
from typing import Any

import orjson

from signalflow.simulator.posts import Post
from signalflow.simulator.shapes import AUTHOR_CONSTANTS, CREATED_OFFSET, html_of
from signalflow.simulator.subreddits import base36, stable_number
from signalflow.simulator.text import author_name, comment_text

# A comment's id is its post's id and this many digits for its place: no table is needed to find it again.
PLACE_DIGITS = 4
MAX_PLACE = 36**PLACE_DIGITS - 1
MAX_DEPTH = 9
COMMENT_CONSTANTS: dict[str, Any] = {
    "all_awardings": [],
    "approved_at_utc": None,
    "approved_by": None,
    "archived": False,
    "associated_award": None,
    "author_flair_background_color": None,
    "author_flair_css_class": None,
    "author_flair_template_id": None,
    "author_flair_text": None,
    "author_flair_text_color": None,
    "awarders": [],
    "banned_at_utc": None,
    "banned_by": None,
    "can_gild": False,
    "can_mod_post": False,
    "collapsed": False,
    "collapsed_because_crowd_control": None,
    "collapsed_reason": None,
    "controversiality": 0,
    "distinguished": None,
    "downs": 0,
    "edited": False,
    "gilded": 0,
    "gildings": {},
    "is_submitter": False,
    "likes": None,
    "locked": False,
    "mod_note": None,
    "mod_reason_by": None,
    "mod_reason_title": None,
    "mod_reports": [],
    "num_reports": None,
    "removal_reason": None,
    "report_reasons": None,
    "saved": False,
    "score_hidden": False,
    "send_replies": True,
    "stickied": False,
    "subreddit_type": "public",
    "top_awarded_type": None,
    "total_awards_received": 0,
    "treatment_tags": [],
    "user_reports": [],
}


@dataclass(frozen=True, slots=True)
class Comment:
    """Comment number `place` (from 1) of a post. Its author deletes it at `deleted_at`, or never (None)."""

    post: Post
    place: int
    created: float
    parent: int
    author: str
    body: str
    rise: float
    deleted_at: float | None

    @property
    def id(self) -> str:
        """In base 36, without t1_."""
        return comment_id(self.post, self.place)

    @property
    def name(self) -> str:
        """The fullname."""
        return f"t1_{self.id}"

    def score_at(self, t: float) -> int:
        """Points, its author's own included; some comments sink below it."""
        return 1 + int(self.rise * (1.0 - exp(-max(t - self.created, 0.0) / self.post.tau)))


def comment_id(post: Post, place: int) -> str:
    """The id of a post's comment without t1_."""
    return f"{post.id}{base36(place).rjust(PLACE_DIGITS, '0')}"


def post_and_place(name: str) -> tuple[str, int] | None:
    """The id of the post and the place of the comment with this id (without t1_); None when it is no such id."""
    post_id, place = name[:-PLACE_DIGITS], name[-PLACE_DIGITS:]
    if not (post_id and place.isascii() and place.isalnum() and place == place.lower()):
        return None
    return post_id, int(place, 36)


def parent_place(post: Post, place: int) -> int:
    """The place of the comment that this comment answers; 0 if it answers the post."""
    draw = stable_number(f"{post.number}:{place}:parent")
    return 0 if place == 1 or draw % 5 < 2 else 1 + (draw >> 8) % (place - 1)


def parent_name(comment: Comment) -> str:
    """The fullname of the comment or post that a comment answers."""
    return f"t1_{comment_id(comment.post, comment.parent)}" if comment.parent else f"t3_{comment.post.id}"


def comment_at(post: Post, place: int, now: float) -> Comment | None:
    """A comment; None if it is not written by now."""
    created = post.comment_time(place) if place <= MAX_PLACE else None
    if created is None or created > now:
        return None
    rng = Random(f"{post.text_seed}:{place}")
    comment = Comment(
        post=post,
        place=place,
        created=created,
        parent=parent_place(post, place),
        author=author_name(rng),
        body=post.says or comment_text(post.subreddit.name, rng),
        rise=rng.gauss(0.0, 1.0) * 3.0 + rng.expovariate(0.3),
        deleted_at=created + rng.expovariate(1 / 7_200.0) if rng.random() < 0.04 else None,
    )
    by_hand = post.deleted_comments.get(place)
    if by_hand is None or (comment.deleted_at is not None and comment.deleted_at <= by_hand):
        return comment
    return replace(comment, deleted_at=by_hand)


def newest_comments(posts: Iterable[Post], now: float) -> Iterator[Comment]:
    """Comments of the posts, newest first."""
    heap = []
    for post in posts:
        place = min(post.comments_at(now), MAX_PLACE)
        created = post.comment_time(place)
        if created is not None:
            heap.append((-created, post.number, place, post))
    heapify(heap)
    while heap:
        _, number, place, post = heap[0]
        earlier = post.comment_time(place - 1)
        if earlier is None:
            heappop(heap)
        else:
            heapreplace(heap, (-earlier, number, place - 1, post))
        comment = comment_at(post, place, now)
        if comment is not None:
            yield comment


def comment_data(comment: Comment, post_path: str, now: float, depth: int | None = None) -> dict[str, Any]:
    """The data of a t1 with empty `replies`. Only comments of a tree have a `depth`.

    `post_path`: the permalink of its post, whose title stands in that of the comment too.
    """
    post = comment.post
    deleted = comment.deleted_at is not None and comment.deleted_at <= now
    body = "[deleted]" if deleted else comment.body
    score = comment.score_at(now)
    data = COMMENT_CONSTANTS | {
        "id": comment.id,
        "name": comment.name,
        "link_id": f"t3_{post.id}",
        "parent_id": parent_name(comment),
        "author": "[deleted]" if deleted else comment.author,
        "body": body,
        "body_html": html_of(body).removeprefix("<!-- SC_OFF -->").removesuffix("<!-- SC_ON -->"),
        "score": score,
        "ups": score,
        "no_follow": score < 3,
        "created": float(int(comment.created) + CREATED_OFFSET),
        "created_utc": float(int(comment.created)),
        "subreddit": post.subreddit.name,
        "subreddit_id": f"t5_{post.subreddit.id}",
        "subreddit_name_prefixed": f"r/{post.subreddit.name}",
        "permalink": f"{post_path}{comment.id}/",
        "replies": "",
    }
    if not deleted:
        data["author_fullname"] = f"t2_{base36(stable_number(comment.author) % 36**7)}"
        data |= AUTHOR_CONSTANTS
    if depth is not None:
        data["depth"] = depth
    return data


def comment_json(comment: Comment, post_path: str, now: float) -> bytes:
    """A t1 outside of a tree. `post_path`: the permalink of its post."""
    return orjson.dumps({"kind": "t1", "data": comment_data(comment, post_path, now)})
