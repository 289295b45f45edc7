"""Posts as Reddit's API writes them: all keys of a recorded answer, with the same types.

The part that does not change with time is serialised once and cached; the numbers are filled in for each answer.
"""

from collections.abc import Callable
from functools import lru_cache
from html import escape
from typing import Any, NamedTuple

import orjson

from signalflow.simulator.media import media_fields
from signalflow.simulator.posts import Post, State
from signalflow.simulator.subreddits import base36, stable_number
from signalflow.simulator.text import Text

# Each takes about 5 kB.
CACHED_POSTS = 4_096
# Reddit's "created" is eight hours ahead of created_utc, for historical reasons.
CREATED_OFFSET = 28_800.0
EDIT_NOTE = "thank you for all the answers, I did not expect this to be read by so many."

# What everybody without moderator rights gets in every post.
POST_CONSTANTS: dict[str, Any] = {
    "all_awardings": [],
    "allow_live_comments": False,
    "approved_at_utc": None,
    "approved_by": None,
    "archived": False,
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
    "category": None,
    "clicked": False,
    "content_categories": None,
    "contest_mode": False,
    "discussion_type": None,
    "distinguished": None,
    "downs": 0,
    "gilded": 0,
    "gildings": {},
    "hidden": False,
    "is_crosspostable": True,
    "is_meta": False,
    "is_original_content": False,
    "is_robot_indexable": True,
    "is_video": False,
    "likes": None,
    "link_flair_background_color": "",
    "link_flair_css_class": None,
    "link_flair_richtext": [],
    "link_flair_text_color": "dark",
    "link_flair_type": "text",
    "locked": False,
    "media": None,
    "media_embed": {},
    "media_only": False,
    "mod_note": None,
    "mod_reason_by": None,
    "mod_reason_title": None,
    "mod_reports": [],
    "num_crossposts": 0,
    "num_reports": None,
    "parent_whitelist_status": "all_ads",
    "pinned": False,
    "pwls": 6,
    "quarantine": False,
    "removal_reason": None,
    "removed_by": None,
    "report_reasons": None,
    "saved": False,
    "secure_media": None,
    "secure_media_embed": {},
    "send_replies": True,
    "spoiler": False,
    "stickied": False,
    "subreddit_type": "public",
    "suggested_sort": None,
    "top_awarded_type": None,
    "total_awards_received": 0,
    "treatment_tags": [],
    "user_reports": [],
    "view_count": None,
    "visited": False,
    "whitelist_status": "all_ads",
    "wls": 6,
}
AUTHOR_CONSTANTS: dict[str, Any] = {
    "author_flair_richtext": [],
    "author_flair_type": "text",
    "author_patreon_flair": False,
    "author_premium": False,
}


class Form(NamedTuple):
    """All of a post's state that its texts depend on."""

    removed_by: str | None
    is_edited: bool
    title_edited: bool


def form_of(state: State) -> Form:
    """The form of a post in this state."""
    return Form(state.removed_by, state.edited_at is not None, state.title_edited)


class PostShapes:
    """Writes posts as JSON; `texts` finds a post's text."""

    def __init__(self, texts: Callable[[Post], Text]) -> None:
        self._texts = texts
        self._static = lru_cache(maxsize=CACHED_POSTS)(self._make_static)
        self.permalink = lru_cache(maxsize=CACHED_POSTS)(self._make_permalink)

    def json(self, post: Post, state: State) -> bytes:
        """The thing `{"kind": "t3", "data": ...}` of about 5 kB."""
        edited = b"false" if state.edited_at is None else b"%.1f" % int(state.edited_at)
        category = b"null" if state.removed_by is None else b'"%s"' % state.removed_by.encode()
        return (
            b'{"kind":"t3","data":%s,"score":%d,"ups":%d,"num_comments":%d,"upvote_ratio":%s,"hide_score":%s,'
            b'"no_follow":%s,"edited":%s,"removed_by_category":%s}}'
            % (
                self._static(post, form_of(state)),
                state.score,
                state.score,
                state.num_comments,
                repr(state.upvote_ratio).encode(),
                b"true" if state.hide_score else b"false",
                b"true" if state.score < 10 else b"false",
                edited,
                category,
            )
        )

    def data(self, post: Post, form: Form) -> dict[str, Any]:
        """The post's data without its numbers, and without what tells when it was edited and why it was removed."""
        data: dict[str, Any] = orjson.loads(self._static(post, form) + b"}")
        return data

    def _make_permalink(self, post: Post) -> str:
        """The path of a post's page. It keeps the words of the first title."""
        return f"/r/{post.subreddit.name}/comments/{post.id}/{slug(self._texts(post).title)}/"

    def _make_static(self, post: Post, form: Form) -> bytes:
        """All keys that do not change with the score, without the closing brace."""
        text = self._texts(post)
        sub = post.subreddit
        title = f"{text.title} [updated]" if form.title_edited else text.title
        permalink = self.permalink(post)
        data = POST_CONSTANTS | {
            "id": post.id,
            "name": f"t3_{post.id}",
            "title": title,
            "author": text.author,
            "author_fullname": f"t2_{base36(stable_number(text.author) % 36**7)}",
            **AUTHOR_CONSTANTS,
            "subreddit": sub.name,
            "subreddit_id": f"t5_{sub.id}",
            "subreddit_name_prefixed": f"r/{sub.name}",
            "subreddit_subscribers": sub.subscribers,
            "created": float(int(post.created) + CREATED_OFFSET),
            "created_utc": float(int(post.created)),
            "over_18": post.over_18,
            "permalink": permalink,
            "link_flair_text": text.flair,
            **media_fields(post, text, permalink),
        }
        if data["is_self"]:
            body = f"{text.body}\n\nEDIT: {EDIT_NOTE}" if form.is_edited else text.body
            data["selftext"] = body
            data["selftext_html"] = html_of(body) if body else None
        return orjson.dumps(_masked(data, form.removed_by))[:-1]


def _masked(data: dict[str, Any], removed_by: str | None) -> dict[str, Any]:
    """What others see of a post after its author or a moderator has taken it down."""
    if removed_by is None:
        return data
    mask = "[deleted]" if removed_by == "deleted" else "[removed]"
    if data["is_self"]:
        data |= {"selftext": mask, "selftext_html": html_of(mask)}
    if removed_by == "deleted":
        data["author"] = "[deleted]"
        for key in ("author_fullname", *AUTHOR_CONSTANTS):
            del data[key]
    return data | {"is_robot_indexable": False, "is_crosspostable": False}


def html_of(markdown: str) -> str:
    """The paragraphs of a text as the API renders them."""
    paragraphs = "\n\n".join(f"<p>{escape(part, quote=False)}</p>" for part in markdown.split("\n\n"))
    return f'<!-- SC_OFF --><div class="md">{paragraphs}\n</div><!-- SC_ON -->'


def slug(title: str) -> str:
    """The title as it appears in a permalink."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in title.lower()).split()
    found = ""
    for word in words:
        if len(found) + len(word) > 50:
            break
        found = f"{found}_{word}" if found else word
    return found or "_"
