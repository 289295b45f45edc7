"""When a request to Reddit may start: even pacing, waits after a 429, and a breaker while Reddit is away.

Pure: the caller passes the time in, in seconds of any steady clock.
"""

import math
from dataclasses import dataclass

from signalflow.domain.backoff import Backoff

# Reddit counts 1,000 requests per client id in a fixed window of 600 s (100 a minute).
PUBLISHED_LIMIT = 1000.0
PUBLISHED_WINDOW = 600.0
# Of a window only the rest is told. It is taken to last so long at least, in seconds.
SHORTEST_WINDOW = 60.0
# A higher target leaves no room for requests that are not counted here: tokens, and repeats after a revoked token.
MAX_PER_MINUTE = 95.0
# A wait that Reddit names is kept whole. A longer one than a day is taken for a wrong number, and cut to a day.
LONGEST_WAIT = 86_400.0
# A window that is said to last longer than an hour is taken for a wrong number: Reddit's has 600 s.
LONGEST_WINDOW = 3600.0
SHORTEST_WAIT = 1.0
# Of a window with so many requests left, one request more is not too many. Reddit's count is approximate.
ROOM = 10.0
# Waits after 429s that name no time: at most one window.
UNNAMED_WAITS = Backoff(first=10.0, most=PUBLISHED_WINDOW)
BREAKER_SECONDS = 30.0
# Waits after answers in a row that show that Reddit blocks this address. One page may be a slip, so the first wait is
# short; a lasting block must not be tested again and again.
BLOCK_WAITS = Backoff(first=120.0, most=3600.0)
# Waits after failures in a row, from the second one on. A single failure may be the fault of what the request named,
# and makes no other request wait.
FAILURE_WAITS = Backoff(first=2.0, most=BREAKER_SECONDS)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What an answer says about Reddit's counting window. Each number is finite and at least 0, or None if unknown."""

    used: float | None = None
    remaining: float | None = None
    # Seconds until the window ends.
    reset: float | None = None


UNKNOWN_LIMIT = RateLimit()


@dataclass(frozen=True, slots=True)
class AddressBlock:
    """Reddit does not answer this address.

    `how` is a word for it. `began_ago`: seconds since the first answer that showed it, of `answers` in a row.
    """

    how: str
    began_ago: float
    answers: int


@dataclass(frozen=True, slots=True)
class Handover:
    """What a poller must know of the requests before it. Times are in seconds from the moment of the handover.

    `blocked_for`: no request may start that long. `last_start_ago`: inf when there was no request. `window_remaining`
    and `window_ends_in` are None when Reddit's window is not known. `limits_in_a_row` counts the last 429s.
    `address_block` is None unless Reddit blocks this address.
    """

    blocked_for: float = 0.0
    last_start_ago: float = math.inf
    window_remaining: float | None = None
    window_ends_in: float | None = None
    limits_in_a_row: int = 0
    address_block: AddressBlock | None = None


NO_REQUESTS = Handover()


@dataclass
class _Window:
    """What the server last said about its counting window."""

    remaining: float
    ends_at: float


class Budget:
    """The gate that every request of a client id passes.

    `wait` returns the seconds until a request may start. The caller reports the start with `start`, and the end with
    exactly one of `succeeded`, `refused` (a 4xx other than 429), `rate_limited`, `address_blocked`, `failed`, `broke`
    and `given_up`. Requests start at least 60 / `per_minute` seconds apart, so a backlog causes no burst.

    `learns`: `per_minute` is only what to begin with; then requests are as frequent as the answers allow.
    """

    def __init__(self, per_minute: float, max_in_flight: int = 1, *, learns: bool = False) -> None:
        if not 0 < per_minute <= MAX_PER_MINUTE:
            raise ValueError(f"per_minute must be in (0, {MAX_PER_MINUTE:g}]")
        self._spacing = 60.0 / per_minute
        self._learns = learns
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._last_start = -math.inf
        self._blocked_until = -math.inf
        self._window: _Window | None = None
        self._limits_in_a_row = 0
        self._failures_in_a_row = 0
        self._block_how, self._block_since, self._block_answers = "", 0.0, 0

    @property
    def per_minute(self) -> float:
        """The target, or what the answers so far allow."""
        return 60.0 / self._spacing

    @property
    def in_flight(self) -> int:
        """Requests that have started and not ended."""
        return self._in_flight

    @property
    def blocked_until(self) -> float:
        """No request starts before this time because of a 429, a used-up window or the breaker; -inf without one."""
        return self._blocked_until

    def address_block(self, now: float) -> AddressBlock | None:
        """How, and since when, Reddit blocks this address; None while it answers."""
        if not self._block_answers:
            return None
        return AddressBlock(self._block_how, max(now - self._block_since, 0.0), self._block_answers)

    def spacing(self, now: float) -> float:
        """Seconds between two starts: the target, or more when the server's window would not last at that rate."""
        window = self._window
        if window is None or now >= window.ends_at:
            return self._spacing
        return max(self._spacing, (window.ends_at - now) / max(window.remaining, 1.0))

    def has_room(self, now: float, limit: RateLimit = UNKNOWN_LIMIT) -> bool:
        """Whether Reddit said that many requests are left in this window. `limit`: what the newest answer says of it.

        Then a 429 contradicts what Reddit says of its limit.
        """
        window = self._window
        is_known = window is not None and now < window.ends_at and window.remaining >= ROOM
        return is_known and (limit.remaining is None or limit.remaining >= ROOM)

    def hand_over(self, now: float) -> Handover:
        """What a successor must know."""
        window = self._window if self._window is not None and self._window.ends_at > now else None
        return Handover(
            blocked_for=max(self._blocked_until - now, 0.0),
            last_start_ago=max(now - self._last_start, 0.0),
            window_remaining=window.remaining if window else None,
            window_ends_in=window.ends_at - now if window else None,
            limits_in_a_row=self._limits_in_a_row,
            address_block=self.address_block(now),
        )

    def take_over(self, before: Handover, now: float) -> None:
        """Go on where the requests of another poller stopped. What this budget knows itself stays valid."""
        self._block(now + min(before.blocked_for, LONGEST_WAIT))
        self._last_start = max(self._last_start, now - before.last_start_ago)
        self._limits_in_a_row = max(self._limits_in_a_row, before.limits_in_a_row)
        if (block := before.address_block) and block.answers > self._block_answers:
            self._block_how, self._block_since, self._block_answers = block.how, now - block.began_ago, block.answers
        self._read_window(now, RateLimit(remaining=before.window_remaining, reset=before.window_ends_in))

    def wait(self, now: float) -> float:
        """Seconds until a request may start: 0 when it may start now, inf while as many are in flight as allowed."""
        if self._in_flight >= self._max_in_flight:
            return math.inf
        ready = max(self._blocked_until, self._last_start + self.spacing(now))
        return max(ready - now, 0.0)

    def start(self, now: float) -> None:
        """A request starts. Raises ValueError when it may not: a fault of the caller must not exceed the budget."""
        # Rounding of floats: a sleep for exactly the wait may end slightly early.
        if self.wait(now) > 1e-6:
            raise ValueError("a request was started above the budget")
        self._in_flight += 1
        self._last_start = now

    def succeeded(self, now: float, limit: RateLimit = UNKNOWN_LIMIT) -> None:
        """The request was answered."""
        self._in_flight -= 1
        self._limits_in_a_row = self._failures_in_a_row = self._block_answers = 0
        self._read_window(now, limit)
        if self._learns:
            self._learn(limit)

    def refused(self, now: float, limit: RateLimit = UNKNOWN_LIMIT) -> None:
        """The request was refused for another reason than its rate (403, 404): there is nothing to wait for."""
        self._in_flight -= 1
        self._failures_in_a_row = self._block_answers = 0
        self._read_window(now, limit)

    def rate_limited(self, now: float, retry_after: float | None = None, limit: RateLimit = UNKNOWN_LIMIT) -> float:
        """A 429: no request starts for max(Retry-After, reset) seconds, at least 1 s, at most a day. Returns that wait.

        When the answer names neither: until the end of the window if that is known to be used up, otherwise for a
        backoff that doubles with each 429 in a row.
        """
        self._in_flight -= 1
        self._limits_in_a_row += 1
        named = [value for value in (retry_after, limit.reset) if value is not None]
        window = self._window
        if window is not None and window.remaining < 1 and window.ends_at > now:
            named.append(window.ends_at - now)
        wait = max(named) if named else UNNAMED_WAITS.after(self._limits_in_a_row)
        wait = min(max(wait, SHORTEST_WAIT), LONGEST_WAIT)
        self._read_window(now, limit)
        self._block(now + wait)
        return wait

    def address_blocked(
        self, now: float, how: str, retry_after: float | None = None, limit: RateLimit = UNKNOWN_LIMIT
    ) -> float:
        """Reddit blocks this address: no request starts for a pause that doubles with each such answer in a row.

        A longer wait that the answer names is kept. Returns the wait.
        """
        self._in_flight -= 1
        if not self._block_answers:
            self._block_since = now
        self._block_how, self._block_answers = how, self._block_answers + 1
        self._read_window(now, limit)
        named = max(value or 0.0 for value in (retry_after, limit.reset))
        wait = max(BLOCK_WAITS.after(self._block_answers), min(named, LONGEST_WAIT))
        self._block(now + wait)
        return wait

    def failed(self, now: float, limit: RateLimit = UNKNOWN_LIMIT) -> None:
        """A 5xx, a timeout or an unusable answer: Reddit is away, or something that the request names is the reason.

        After the first failure in a row other requests may start. The waits after the next ones double up to 30 s.
        """
        self._in_flight -= 1
        self._failures_in_a_row += 1
        self._read_window(now, limit)
        if self._failures_in_a_row > 1:
            self._block(now + FAILURE_WAITS.after(self._failures_in_a_row - 1))

    def broke(self, now: float, limit: RateLimit = UNKNOWN_LIMIT) -> None:
        """Reddit was not reached, or accepts no token: no request starts for 30 s. The planner repeats what was due."""
        self._in_flight -= 1
        self._read_window(now, limit)
        self._block(now + BREAKER_SECONDS)

    def given_up(self) -> None:
        """This process no longer waits for the answer: that shows nothing of Reddit."""
        self._in_flight -= 1

    def _read_window(self, now: float, limit: RateLimit) -> None:
        left, ends_in = limit.remaining, limit.reset
        if self._learns and ends_in is not None:
            # The header has whole seconds. Where a request more is one too many, a fraction too early is refused.
            ends_in += SHORTEST_WAIT
        if left is None and limit.used is not None:
            left = max(PUBLISHED_LIMIT - limit.used, 0.0)
        if left is None or ends_in is None or ends_in > LONGEST_WINDOW:
            return
        self._window = _Window(remaining=left, ends_at=now + ends_in)
        if left < 1:
            self._block(now + max(ends_in, SHORTEST_WAIT))

    def _learn(self, limit: RateLimit) -> None:
        """Take the pace from an answer that was no refusal: refusals may count as used, so they tell too much."""
        if limit.used is None or limit.remaining is None or limit.reset is None or limit.reset > LONGEST_WINDOW:
            return
        allowed = limit.used + limit.remaining
        if allowed >= 1:
            self._spacing = max(max(limit.reset, SHORTEST_WINDOW) / allowed, 60.0 / MAX_PER_MINUTE)

    def _block(self, until: float) -> None:
        self._blocked_until = max(self._blocked_until, until)
