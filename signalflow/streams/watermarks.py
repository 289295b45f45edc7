"""The progress of each partition in event time."""


class Watermarks:
    """Per partition, the newest event time that was processed, in microseconds since the epoch."""

    def __init__(self) -> None:
        self._newest_us: dict[int, int] = {}

    def advance(self, partition: int, time_us: int) -> None:
        """Record the time of a processed event. An event older than the newest one changes nothing."""
        self._newest_us[partition] = max(self._newest_us.get(partition, time_us), time_us)

    def of(self, partition: int) -> int | None:
        """The newest event time of a partition; None when no event of it was processed yet."""
        return self._newest_us.get(partition)
