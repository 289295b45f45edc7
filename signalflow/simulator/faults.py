"""Injected faults. Each hits a number of requests whose path has its prefix."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from signalflow.errors import Invalid
from signalflow.simulator.answers import (
    JSON,
    Answer,
    blocked,
    html_answer,
    redirect,
    refused,
    server_error,
    too_many_by_address,
    too_many_plain,
    too_many_with_wait,
    unauthorized,
)

REDIRECTS = (301, 302, 303, 307, 308)
# How Reddit answers an address that it does not want, by the value of `block`.
BLOCKS: dict[str, Callable[[], Answer]] = {
    "forbidden": lambda: blocked(403),
    "page": lambda: blocked(200),
    "limit": too_many_by_address,
}


@dataclass(slots=True)
class Fault:
    """Hits `count` requests whose path begins with `path`; -1: all. One without any effect but `delay` only delays."""

    path: str = "/"
    contains: str = ""
    """Hits only requests whose path and query contain this."""
    member: str = ""
    """Hits only listings that name this subreddit, or requests by id that name this fullname."""
    count: int = 1
    status: int | None = None
    delay: float = 0.0
    """Real seconds before the answer."""
    drop: bool = False
    """Reset the connection instead of answering."""
    truncate: bool = False
    """Send half of the right answer."""
    html: bool = False
    """Send a page of HTML with status 200 (or `status`)."""
    block: str = ""
    """Answer as Reddit answers an address that it blocks: `forbidden` (a page 403), `page` (a page 200), `limit` (429).

    A block of feeds only has `.rss` in `contains`; one that lasts has a `count` of -1.
    """
    patch: dict[str, Any] = field(default_factory=dict)
    """Fields that each item of the listing (in JSON) gets; with a fullname as `member` only that item."""
    insert: list[dict[str, Any]] = field(default_factory=list)
    """Items at the top of the listing."""
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    ct: str | None = None
    rl: bool | None = None
    """Whether x-ratelimit headers are sent; None: as Reddit does with this status."""

    @property
    def replaces_answer(self) -> bool:
        """Whether the fault has an answer of its own."""
        return self.status is not None or self.body is not None or self.html or bool(self.block)

    def answer(self) -> Answer:
        """The fault's own answer: Reddit's page for the status, changed as the fault says."""
        answer = _page(self.status or 200, self.ct)
        if self.block:
            answer = BLOCKS[self.block]()
        elif self.html:
            answer = html_answer(self.status or 200, "Our CDN was unable to reach our servers")
        if self.body is not None:
            answer.body = self.body.encode()
        return self.change(answer)

    def change(self, answer: Answer) -> Answer:
        """The answer with the fault's headers and content type, cut, and with or without rate-limit headers."""
        if (self.patch or self.insert) and answer.status == 200 and answer.content_type == JSON:
            self._change_items(answer)
        answer.content_type = self.ct or answer.content_type
        answer.headers |= self.headers
        if self.truncate:
            answer.body = answer.body[: len(answer.body) // 2]
        if self.rl is not None:
            answer.limits = self.rl
        return answer

    def _change_items(self, answer: Answer) -> None:
        listing = orjson.loads(answer.body)
        children = listing.get("data", {}).get("children")
        if children is None:
            return
        for child in children:
            if self.member in ("", child["data"].get("name")) or not self.member.startswith("t3_"):
                child["data"] |= self.patch
        listing["data"]["children"] = [*self.insert, *children]
        answer.body = orjson.dumps(listing)


def _page(status: int, content_type: str | None) -> Answer:
    if status == 429:
        return too_many_plain() if content_type and "json" in content_type else too_many_with_wait(2)
    if status == 401:
        return unauthorized()
    if status == 403:
        return refused(403, "private")
    if status == 404:
        return refused(404, "banned")
    if status >= 500:
        return server_error(status)
    if status in REDIRECTS:
        return redirect(status, "https://www.reddit.com/")
    return Answer(b"{}", status) if status < 400 else html_answer(status, str(status))


class Faults:
    """The faults that wait for their requests. The first that matches a request hits it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, given: dict[str, Any]) -> Fault:
        """Add a fault from its fields. Raises Invalid for an unknown field or a wrong type."""
        for name, value in given.items():
            wanted = _FIELD_TYPES.get(name)
            if wanted is None or not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
                raise Invalid(f"a fault has no field {name!r} with value {value!r}", field=name)
        fault = Fault(**given)
        if not 0 <= fault.delay <= 600 or not math.isfinite(fault.delay):
            raise Invalid("delay must be from 0 to 600 seconds", field="delay")
        if fault.status is not None and not 200 <= fault.status <= 599:
            raise Invalid("status must be from 200 to 599", field="status")
        if fault.block and fault.block not in BLOCKS:
            raise Invalid(f"block is one of {', '.join(BLOCKS)}", field="block")
        self._faults.append(fault)
        return fault

    def take(self, path: str, path_qs: str) -> Fault | None:
        """The fault that hits a request, now counted; None when there is none."""
        for fault in self._faults:
            if not fault.count or not path.startswith(fault.path) or fault.contains not in path_qs:
                continue
            if not fault.member or fault.member.lower() in _members(path, path_qs):
                fault.count -= 1 if fault.count > 0 else 0
                if not fault.count:
                    self._faults.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def __len__(self) -> int:
        return len(self._faults)


def _members(path: str, path_qs: str) -> set[str]:
    """What a request names, in lower case: the subreddits of its path, and the fullnames of its query."""
    parts = path.split("/")
    names = parts[2].split("+") if len(parts) > 2 and parts[1] == "r" else []
    ids = [id_ for value in parse_qs(urlsplit(path_qs).query).get("id", ()) for id_ in value.split(",")]
    return {name.lower() for name in (*names, *ids)}


_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "path": (str,),
    "contains": (str,),
    "member": (str,),
    "count": (int,),
    "status": (int,),
    "delay": (int, float),
    "drop": (bool,),
    "truncate": (bool,),
    "html": (bool,),
    "block": (str,),
    "patch": (dict,),
    "insert": (list,),
    "headers": (dict,),
    "body": (str,),
    "ct": (str,),
    "rl": (bool,),
}
