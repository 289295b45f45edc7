"""An observation on its way to clients: decoded once, serialised once, shared by all."""

import dataclasses
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any

from msgspec.structs import replace

from signalflow.clock import utcnow
from signalflow.domain.queries.evaluate import Document, document_of, host_of
from signalflow.events import decode_enriched
from signalflow.storage.columns import POSTS, Guard
from web.live.protocol import LivePost, encode_frame

_LIVE = frozenset(LivePost.__struct_fields__)
_OF_THE_SCORE = [column.name for column in POSTS if column.guard is Guard.SCORE and column.name in _LIVE]
_OF_THE_DETAILS = [column.name for column in POSTS if column.guard is Guard.DETAILS and column.name in _LIVE]


@dataclass(frozen=True)
class LiveRecord(ABC):
    """An observation of a post or a comment as clients get it, with its partition and offset.

    `text` is the observation as JSON, and `size` is the length of `text` in bytes of UTF-8.
    """

    partition: int
    offset: int
    text: str
    size: int

    @property
    @abstractmethod
    def id(self) -> str:
        """The id of what was observed."""

    @property
    @abstractmethod
    def observed_at(self) -> datetime:
        """When Reddit told this."""

    @property
    def newness(self) -> Any:
        """Grows from one observation of the same to a newer one."""
        return self.observed_at

    @property
    @abstractmethod
    def is_removal(self) -> bool:
        """Whether the observation says that the post or comment was taken away."""

    @abstractmethod
    def over(self, older: "LiveRecord") -> "LiveRecord":
        """What a client gets of two observations: this newer one, with what only the older one tells."""


@dataclass(frozen=True)
class PostRecord(LiveRecord):
    """An observation of a post, with the values that filters compare.

    `subreddit` is in lower case. `words` holds the title and the keywords, case-folded, one per line.
    """

    post: LivePost
    subreddit: str
    words: str

    @cached_property
    def document(self) -> Document:
        """The post as queries see it, of the age at which it came in: made only if a filter has a query."""
        post = self.post
        return document_of(
            "post",
            post.title,
            subreddit=post.subreddit,
            author=post.author,
            domain=host_of(post.url),
            flair=post.flair,
            over_18=post.over_18,
            score=post.current_score,
            comments=post.current_comments,
            sentiment=post.nlp.sentiment_score,
            ratio=post.current_ratio,
            age=(utcnow() - post.created_utc).total_seconds(),
        )

    @property
    def id(self) -> str:
        """The post's id."""
        return self.post.id

    @property
    def is_removal(self) -> bool:
        """Whether the observation says that the post was taken away."""
        return bool(self.post.removed_by)

    @property
    def observed_at(self) -> datetime:
        """When Reddit gave these numbers."""
        return self.post.observed_at

    def over(self, older: LiveRecord) -> "PostRecord":
        """This observation, with what only an older one of the same post tells."""
        assert isinstance(older, PostRecord)
        if self.is_removal or older.is_removal:
            return self
        old, new = older.post, self.post
        kept: list[str] = []
        if new.current_score is None and old.current_score is not None:
            kept += _OF_THE_SCORE
        if (new.current_comments is not None, new.is_self is not None) < (
            old.current_comments is not None,
            old.is_self is not None,
        ):
            kept += _OF_THE_DETAILS
        if not kept:
            return self
        post = replace(new, **{name: getattr(old, name) for name in kept})
        encoded = encode_frame(post)
        return dataclasses.replace(self, post=post, text=encoded.decode(), size=len(encoded))


def live_record(partition: int, offset: int, value: bytes) -> PostRecord | None:
    """The record as clients get it; None for a backfill and for a late observation, which are no news.

    Raises Invalid when it cannot be decoded.
    """
    enriched = decode_enriched(value)
    if enriched.late or enriched.mode == "backfill":
        return None
    post = LivePost.of(enriched)
    words = "\n".join(" ".join(text.casefold().split()) for text in (post.title, *post.nlp.keywords))
    encoded = encode_frame(post)
    return PostRecord(
        partition=partition,
        offset=offset,
        post=post,
        subreddit=post.subreddit.lower(),
        words=words,
        text=encoded.decode(),
        size=len(encoded),
    )


class Newest:
    """The newest observation of each of the last `most` posts: a redelivered older record must not follow it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, tuple[int, Any]] = {}

    def is_stale(self, record: LiveRecord) -> bool:
        """Whether an observation of the post that is at least as new precedes this record in the log."""
        known = self._of.get(record.id)
        return known is not None and known[0] < record.offset and known[1] >= record.newness

    def note(self, record: LiveRecord) -> None:
        """Remember a record that is not stale."""
        self._of.pop(record.id, None)
        self._of[record.id] = record.offset, record.newness
        if len(self._of) > self._most:
            del self._of[next(iter(self._of))]


class Backlog:
    """Records that wait for one client: the newest of each post, in each partition by offset."""

    def __init__(self) -> None:
        self._records: dict[str, LiveRecord] = {}
        self.coalesced = 0

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: LiveRecord) -> None:
        """Append a record. It replaces an older record of the same post, but for what only that one tells."""
        known = self._records.get(record.id)
        if known is not None:
            self.coalesced += 1
            if known.newness >= record.newness:
                return
            # The record moves to the end: in its old place, a frame could take it before records of lower offsets.
            del self._records[record.id]
            record = record.over(known)
        self._records[record.id] = record

    def take(self, most: int, most_bytes: int) -> list[LiveRecord]:
        """Remove and return the first records: one at least, otherwise `most` and `most_bytes` at most."""
        taken: list[LiveRecord] = []
        for record in islice(self._records.values(), most):
            most_bytes -= record.size
            if taken and most_bytes < 0:
                break
            taken.append(record)
        for record in taken:
            del self._records[record.id]
        return taken

    def drain(self) -> list[LiveRecord]:
        """Remove and return all records."""
        drained, self._records = list(self._records.values()), {}
        return drained

    def keep(self, matches: Callable[[LiveRecord], bool]) -> int:
        """Remove the records that do not match; returns their number."""
        before = len(self._records)
        self._records = {id_: record for id_, record in self._records.items() if matches(record)}
        return before - len(self._records)

    def low_water(self, offsets: list[int]) -> list[int]:
        """These offsets, moved back in each partition to the first record that waits."""
        low = offsets.copy()
        for record in self._records.values():
            low[record.partition] = min(low[record.partition], record.offset)
        return low


class Tail:
    """The last records of each partition: clients that resume after some seconds need no read from Kafka."""

    def __init__(self, offsets: list[int], most: int) -> None:
        self._most = max(most // len(offsets), 1)
        self._records: list[deque[LiveRecord]] = [deque() for _ in offsets]
        # The tail has all records from these offsets on.
        self.start = offsets.copy()

    def add(self, record: LiveRecord) -> None:
        """Append the next record of its partition. Of what was taken away, no older record is kept."""
        records = self._records[record.partition]
        if record.is_removal:
            self._records[record.partition] = records = deque(one for one in records if one.id != record.id)
        if len(records) >= self._most:
            self.start[record.partition] = records.popleft().offset + 1
        records.append(record)

    def covers(self, since: Sequence[int]) -> bool:
        """Whether the tail still has all records from these offsets on."""
        return all(offset >= start for offset, start in zip(since, self.start, strict=True))

    def between(self, since: Sequence[int], until: Sequence[int]) -> Iterator[LiveRecord]:
        """The records from `since` to before `until`, in each partition by offset."""
        for records, first, end in zip(self._records, since, until, strict=True):
            yield from (record for record in records if first <= record.offset < end)
