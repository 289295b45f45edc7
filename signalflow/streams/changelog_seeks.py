"""Which fetches of changelogs were overtaken by a seek: recovery must not apply what they return."""

from collections.abc import Collection, Mapping

from faust.types import TP


class ChangelogSeeks:
    """The seeks of recoveries, compared between the begin of a fetch and its end."""

    def __init__(self) -> None:
        # By partition: the number of seeks and the offset of the last one, now and when the last fetch began.
        self._now: dict[TP, tuple[int, int]] = {}
        self._at_fetch: dict[TP, tuple[int, int]] = {}

    def note(self, offsets: Mapping[TP, int]) -> None:
        """Recovery seeks these offsets."""
        for tp, offset in offsets.items():
            count, _ = self._now.get(tp, (0, 0))
            self._now[tp] = (count + 1, offset)

    def fetch_begins(self) -> None:
        """A fetch begins."""
        self._at_fetch = dict(self._now)

    def has_overtaken(self, tp: TP) -> bool:
        """Whether recovery has sought the partition since the last fetch began."""
        return self._now.get(tp) != self._at_fetch.get(tp)

    def last_offsets(self, partitions: Collection[TP]) -> dict[TP, int]:
        """The offset of the last seek, by partition."""
        return {tp: self._now[tp][1] for tp in partitions}
