"""The listings of a subreddit by their names: what its column `post_sort` may hold. Pure."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

from signalflow.domain.words import ObservationMode

PostSort = Literal[
    "new", "hot", "rising", "top:hour", "top:day", "top:week", "top:month", "top:year", "top:all"
]  # fmt: skip
POST_SORTS: tuple[PostSort, ...] = get_args(PostSort)
# Every subreddit is read by it: only its order of time proves that no post is missed.
NEW: PostSort = "new"
DEFAULT_POST_SORTS: tuple[str, ...] = (NEW,)


class Asked(NamedTuple):
    """A listing as Reddit is asked for it. `mode` marks its observations."""

    sort: str
    period: str | None
    mode: ObservationMode


_ASKED: dict[str, Asked] = {
    "new": Asked("new", None, "new"), "hot": Asked("hot", None, "hot"), "rising": Asked("rising", None, "rising"),
}  # fmt: skip


def asked(post_sort: str) -> Asked:
    """The listing with one of the names POST_SORTS."""
    return _ASKED.get(post_sort) or Asked("top", post_sort.removeprefix("top:"), "top")


def in_order(post_sorts: Iterable[str]) -> tuple[str, ...]:
    """These listings and `new`, each once, in the order of POST_SORTS; `top` is that of a day."""
    given = {"top:day" if name == "top" else name for name in post_sorts} | {NEW}
    return tuple(name for name in POST_SORTS if name in given)


def unknown_sorts(post_sorts: Iterable[str]) -> Sequence[str]:
    """Those that are no names of listings."""
    return [name for name in post_sorts if name != "top" and name not in POST_SORTS]
