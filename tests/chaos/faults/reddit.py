"""Bad answers of Reddit: refusals, errors, broken pages, expired tokens."""

from functools import partial
from typing import Any

from tests.chaos.faults.base import Fault, Run
from tests.chaos.waiting import happens

# After an answer that the poller cannot use, it makes no request for 30 s.
HIT_SECONDS = 60.0
LISTING, ANY = "/r/", "/"
EMPTY_PAGE = '{"kind": "Listing", "data": {"after": null, "before": null, "children": []}}'

ANSWERS: dict[str, dict[str, Any]] = {
    "Reddit: 429 with a time to wait": {"path": ANY, "status": 429},
    "Reddit: 429 without one": {"path": ANY, "status": 429, "ct": "application/json; charset=UTF-8"},
    "Reddit: 401": {"path": LISTING, "status": 401},
    "Reddit: 403": {"path": LISTING, "status": 403},
    "Reddit: 404": {"path": LISTING, "status": 404},
    "Reddit: 5xx": {"path": ANY, "status": 503},
    # A worker waits 4 s for an answer.
    "Reddit: timeout": {"path": ANY, "delay": 6.0},
    "Reddit: truncated JSON": {"path": LISTING, "truncate": True},
    "Reddit: HTML with status 200": {"path": LISTING, "html": True},
    "Reddit: empty page": {"path": LISTING, "body": EMPTY_PAGE},
}
TOKENS_LOST = "Reddit: tokens lost"
SHORT_FORM = {"Reddit: 429 with a time to wait", "Reddit: 403", "Reddit: empty page", "Reddit: truncated JSON"}


async def bad_answer(kind: str, run: Run) -> None:
    """The next request gets this answer. The fault is over when the request has come."""
    reddit = run.cluster.reddit
    async with run.injecting(kind, flow="reddit"):
        await reddit.control(**ANSWERS[kind] | {"count": 1})
        assert await happens(lambda: _was_hit(run), HIT_SECONDS), "no request came for it"


async def tokens_lost(run: Run) -> None:
    """All tokens issued so far become invalid."""
    async with run.injecting(TOKENS_LOST, flow="reddit"):
        before = (await run.cluster.reddit.status())["requests"]
        await run.cluster.reddit.control(expire_tokens=True)
        assert await happens(lambda: _asked_since(run, before), HIT_SECONDS), "no request came"


async def _was_hit(run: Run) -> bool:
    return not (await run.cluster.reddit.status())["faults"]


async def _asked_since(run: Run, before: int) -> bool:
    return bool((await run.cluster.reddit.status())["requests"] > before)


FAULTS = (
    *(Fault(kind, "reddit", 4, partial(bad_answer, kind), in_short_form=kind in SHORT_FORM) for kind in ANSWERS),
    Fault(TOKENS_LOST, "reddit", 4, tokens_lost),
)
