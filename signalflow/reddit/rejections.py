"""Items of Reddit's answers that are left out: each is counted and logged once, though every poll may show it again."""

from collections.abc import Iterable

import structlog

from signalflow.metrics import REDDIT_ITEMS_REJECTED
from signalflow.reddit.protocol import Rejection

log = structlog.get_logger()

# So many rejected items are remembered; the oldest is forgotten, and counted again if it is seen again.
REMEMBERED = 10_000


class Rejections:
    """Remembers what was rejected, and why."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | int, str], None] = {}

    def note(self, rejections: Iterable[Rejection]) -> None:
        """Count and log those that are not known yet."""
        for rejection in rejections:
            key = (rejection.key, rejection.reason)
            if key in self._known:
                continue
            self._known[key] = None
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]
            REDDIT_ITEMS_REJECTED.labels(reason=rejection.reason).inc()
            id_ = rejection.key if isinstance(rejection.key, str) else None
            log.warning("reddit_item_rejected", id=id_, reason=rejection.reason, message=rejection.message)
