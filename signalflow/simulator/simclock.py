"""The simulated clock: an anchor and a speed, nothing that ticks."""

from collections.abc import Callable
from dataclasses import dataclass

from signalflow.clock import utcnow
from signalflow.errors import Invalid


def real_now() -> float:
    """The real time in epoch seconds."""
    return utcnow().timestamp()


@dataclass(frozen=True, slots=True)
class Anchor:
    """At the real time `real` the simulated time was `sim`; since then it goes at `speed` simulated seconds per second.

    Both are epoch seconds.
    """

    sim: float
    real: float
    speed: float


class SimClock:
    """sim time = anchor.sim + speed * (real - anchor.real). It never goes back."""

    def __init__(self, anchor: Anchor, real: Callable[[], float] = real_now) -> None:
        self._real = real
        self.anchor = anchor

    def now(self) -> float:
        """The simulated time in epoch seconds. It stands still while a real clock that was set back catches up."""
        return self.anchor.sim + self.anchor.speed * max(self._real() - self.anchor.real, 0.0)

    def real(self) -> float:
        """The real time in epoch seconds."""
        return self._real()

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on; 0 pauses."""
        if not 0 <= speed <= 100_000:
            raise Invalid(f"speed must be from 0 to 100000, not {speed:g}", field="speed")
        self.anchor = Anchor(self.now(), self._real(), speed)

    def jump(self, seconds: float) -> None:
        """Move the simulated time forward by this many seconds."""
        if not 0 <= seconds <= 366 * 86_400:
            raise Invalid(f"a jump must be from 0 seconds to a year, not {seconds:g}", field="jump")
        self.anchor = Anchor(self.now() + seconds, self._real(), self.anchor.speed)
