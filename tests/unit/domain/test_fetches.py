"""A new kind of request is one more class: planner and poller use only the methods of `Fetch`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from signalflow.domain.fetches import Fetch, Findings, ListingRequest, PostsRequest, Request
from signalflow.domain.known import Seen
from signalflow.domain.planner import Planner
from tests.unit.domain.listing_world import START, fast


@dataclass(slots=True, eq=False)
class HotFetch(Fetch):
    """The page `hot` of one subreddit, as somebody might add it."""

    kind = "hot"
    mode_of_known = "hot"

    name: str

    @property
    def request(self) -> Request:
        return ListingRequest((self.name,), sort="hot")

    def new_since(self, now: float) -> float:
        return -math.inf

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        return False

    def failed(self, now: float) -> None:
        """Nothing remembers the page."""


class Client:
    """Writes down what it is asked."""

    async def listing(self, names: Sequence[str], *, sort: str = "new", after: str | None = None) -> object:
        return "listing", tuple(names), sort, after

    async def info(self, ids: Sequence[str]) -> object:
        return "info", tuple(ids)


async def test_a_request_asks_the_client() -> None:
    assert await HotFetch("a").request.ask(Client()) == ("listing", ("a",), "hot", None)
    assert await ListingRequest(("a", "b"), "t3_x").ask(Client()) == ("listing", ("a", "b"), "new", "t3_x")
    assert await PostsRequest(("x",)).ask(Client()) == ("info", ("x",))


def test_a_hot_listing_needs_nothing_of_the_planner() -> None:
    planner = Planner(listing_per_minute=60, refresh_ids_per_minute=60)
    planner.start(fast("a"), [], [], START)
    item, fetch = Seen("p1", "a", START - 30, 1, 0, None, 1), HotFetch("a")

    def judged(now: float) -> list[str]:
        findings = planner.judge(fetch, [item], None, now)
        planner.confirm(findings, [True] * len(findings.decisions), now)
        return [fetch.mode(is_new=decision.is_new) for decision in findings.decisions]

    assert judged(START) == ["new"]
    assert judged(START) == []
    item = item._replace(score=500)
    assert judged(START + 60) == ["hot"]
