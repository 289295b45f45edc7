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


class ByRank(NamedTuple):
    """A listing by rank, as Reddit is asked for it. `mode` marks its observations."""

    sort: str
    period: str | None
    mode: ObservationMode


def by_rank(post_sort: str) -> ByRank:
    """The listing with one of the names POST_SORTS, except `new`."""
    if post_sort == "hot":
        return ByRank("hot", None, "hot")
    if post_sort == "rising":
        return ByRank("rising", None, "rising")
    return ByRank("top", post_sort.removeprefix("top:"), "top")


def in_order(post_sorts: Iterable[str]) -> tuple[str, ...]:
    """These listings and `new`, each once, in the order of POST_SORTS; `top` is that of a day."""
    given = {"top:day" if name == "top" else name for name in post_sorts} | {NEW}
    return tuple(name for name in POST_SORTS if name in given)


def unknown_sorts(post_sorts: Iterable[str]) -> Sequence[str]:
    """Those that are no names of listings."""
    return [name for name in post_sorts if name != "top" and name not in POST_SORTS]
