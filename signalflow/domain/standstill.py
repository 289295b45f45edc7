"""Since when Reddit has answered no request, and what to do about it. Pure."""

from dataclasses import dataclass

# A standstill is told when so many requests in a row failed, over so many seconds. Single failures happen every day.
REQUESTS = 3
SECONDS = 30.0

_BLOCKED = (
    "poll from a connection at home, or with a personal feed (SIGNALFLOW_REDDIT_FEED). Polling tries again by itself, "
    "after pauses that grow to an hour"
)
_ADVICE = {
    "unauthorized": "check SIGNALFLOW_REDDIT_CLIENT_ID and SIGNALFLOW_REDDIT_CLIENT_SECRET, and the app at Reddit",
    "unreachable": "check the network, the name service and the proxy of the worker that polls",
    "no_answer": "check the network of the worker that polls, and www.redditstatus.com",
    "empty_answer": "Reddit shows no posts where there are some: see www.redditstatus.com; polling goes on by itself",
    "rate_limited": "wait: other programs may use the same client id or address",
    "blocked_forbidden": f"Reddit blocks this address, as it does with most clouds and VPNs: {_BLOCKED}",
    "blocked_page": f"Reddit blocks this address, as it does with most clouds and VPNs: {_BLOCKED}",
    "blocked_limit": "Reddit refuses every request of this address: end other programs that read its feeds here, or "
    + _BLOCKED,
    "status_403": "Reddit blocks this address or user agent: check SIGNALFLOW_REDDIT_USER_AGENT, and ask Reddit",
}


@dataclass(frozen=True, slots=True)
class Standstill:
    """Reddit has answered no request since `since`, in seconds of the caller's clock.

    `reason` tells why the last request had no answer, in a word: a word of `Unavailable.reason` or of
    `SubredditUnavailable.reason`, or unauthorized, unreachable, rate_limited or empty_answer, or `blocked_` with a
    `Blocked.block`.
    """

    since: float
    reason: str


def advice(reason: str) -> str:
    """What an operator can do while Reddit answers every request like this."""
    if reason.startswith("status_5"):
        return "Reddit is out of order: see www.redditstatus.com; polling goes on by itself"
    return _ADVICE.get(reason, "open a listing of a watched subreddit in a browser, and look at the poller's log")


class StandstillWatch:
    """Counts failures in a row."""

    def __init__(self) -> None:
        self._failures = 0
        self._since = 0.0
        self._reason = ""
        self._is_certain = False

    def answered(self) -> None:
        """A request had a usable answer."""
        self._failures, self._is_certain = 0, False

    def failed(self, reason: str, now: float) -> None:
        """A request had none: it failed, or was refused."""
        if not self._failures:
            self._since = now
        self._failures += 1
        self._reason = reason

    def blocked(self, how: str, since: float) -> None:
        """Reddit blocks this address, and says so: no other request need fail to show it."""
        self.failed(f"blocked_{how}", since)
        self._is_certain = True

    def standstill(self, now: float) -> Standstill | None:
        """The standstill at `now`; None while Reddit answers."""
        is_short = self._failures < REQUESTS or now - self._since < SECONDS
        if not self._failures or (is_short and not self._is_certain):
            return None
        return Standstill(self._since, self._reason)
