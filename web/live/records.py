"""An observation on its way to clients: decoded once, serialised once, shared by all."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from signalflow.events import decode_enriched
from web.live.protocol import LivePost, encode_frame


@dataclass(frozen=True, slots=True)
class Record:
    """An observation with its place in the log and what filters look at.

    `subreddit` in lower case; `words` the title and the keywords, case-folded, one a line; `text` the JSON of the post,
    `size` its bytes in UTF-8.
    """

    partition: int
    offset: int
    post: LivePost
    subreddit: str
    words: str
    text: str
    size: int

    @property
    def id(self) -> str:
        """The post's id."""
        return self.post.id

    @property
    def observed_at(self) -> datetime:
        """When Reddit gave these numbers."""
        return self.post.observed_at


def live_record(partition: int, offset: int, value: bytes) -> Record | None:
    """The record as clients get it; None for what is no news: a backfill, or an observation older than what was known.

    Raises Invalid when it cannot be decoded.
    """
    enriched = decode_enriched(value)
    if enriched.late or enriched.mode == "backfill":
        return None
    post = LivePost.of(enriched)
    words = "\n".join(" ".join(text.casefold().split()) for text in (post.title, *post.nlp.keywords))
    encoded = encode_frame(post)
    return Record(partition, offset, post, post.subreddit.lower(), words, encoded.decode(), len(encoded))


class Newest:
    """The newest observation of each of the last `most` posts: a redelivered record that is older must not come after it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, tuple[int, datetime]] = {}

    def is_stale(self, record: Record) -> bool:
        """Whether an observation at least as new stands before this record in the log."""
        known = self._of.get(record.id)
        return known is not None and known[0] < record.offset and known[1] >= record.observed_at

    def note(self, record: Record) -> None:
        """Remember a record that is not stale."""
        self._of.pop(record.id, None)
        self._of[record.id] = record.offset, record.observed_at
        if len(self._of) > self._most:
            del self._of[next(iter(self._of))]


class Backlog:
    """Records that wait for one client: of each post the newest alone, in each partition by offset."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self.coalesced = 0

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: Record) -> None:
        """Append a record; one that waits of the same post is replaced if it is older."""
        known = self._records.get(record.id)
        if known is not None:
            self.coalesced += 1
            if known.observed_at >= record.observed_at:
                return
            # To the end, or a frame that takes the first ones would pass over what lies between.
            del self._records[record.id]
        self._records[record.id] = record

    def take(self, most: int, most_bytes: int) -> list[Record]:
        """Remove and return the first ones: at least one, and no more than that many or that many bytes."""
        taken: list[Record] = []
        for record in islice(self._records.values(), most):
            most_bytes -= record.size
            if taken and most_bytes < 0:
                break
            taken.append(record)
        for record in taken:
            del self._records[record.id]
        return taken

    def drain(self) -> list[Record]:
        """Remove and return all."""
        drained, self._records = list(self._records.values()), {}
        return drained

    def keep(self, matches: Callable[[Record], bool]) -> int:
        """Remove what does not match; returns how many that were."""
        before = len(self._records)
        self._records = {id_: record for id_, record in self._records.items() if matches(record)}
        return before - len(self._records)

    def low_water(self, positions: list[int]) -> list[int]:
        """These positions, moved back to the first record of each partition that still waits."""
        low = positions.copy()
        for record in self._records.values():
            low[record.partition] = min(low[record.partition], record.offset)
        return low


class Tail:
    """The last records of each partition, so that clients that come back after seconds need not ask Kafka."""

    def __init__(self, positions: list[int], most: int) -> None:
        self._most = max(most // len(positions), 1)
        self._records: list[deque[Record]] = [deque() for _ in positions]
        # From here on each partition is complete.
        self.start = positions.copy()

    def add(self, record: Record) -> None:
        """Append a record, the next of its partition."""
        records = self._records[record.partition]
        if len(records) >= self._most:
            self.start[record.partition] = records.popleft().offset + 1
        records.append(record)

    def covers(self, since: Sequence[int]) -> bool:
        """Whether nothing after these positions has been forgotten."""
        return all(offset >= start for offset, start in zip(since, self.start, strict=True))

    def between(self, since: Sequence[int], until: Sequence[int]) -> Iterator[Record]:
        """The records from `since` to before `until`, in each partition by offset."""
        for records, first, end in zip(self._records, since, until, strict=True):
            yield from (record for record in records if first <= record.offset < end)
