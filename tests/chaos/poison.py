"""Records that no producer should send: some of each kind by hand, and thousands of valid ones changed at random.

Some come from another client, packed by every codec, in transactions, and with odd headers, on every topic of agents.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from signalflow.kafka.records import UnreadableRecord

# A poisoned record is recognised by this header, wherever it ends up.
HEADER = "chaos"
Expectation = Literal["dead", "stored", "either", "nowhere"]
Topic = Literal["posts_raw", "comments_raw", "posts_enriched", "posts_dlq", "signal_inputs", "term_inputs", "signals"]
TOPICS: tuple[Topic, ...] = get_args(Topic)
# How a record gets into its topic: by the harness's own producer, or as another program writes it.
Way = Literal["own", "gzip", "snappy", "lz4", "zstd", "committed", "aborted", "latin-1"]
# The topic's limit counts the whole batch; this is just below it.
JUST_BELOW_LIMIT = (1 << 20) - 4_096


@dataclass(frozen=True)
class Poison:
    """A record, and what must become of it: "dead" (a dead letter), "stored", or for random changes "either".

    "nowhere": it is part of an aborted transaction.
    """

    number: int
    kind: str
    key: bytes | None
    value: bytes | None
    expected: Expectation
    topic: Topic = "posts_raw"
    way: Way = "own"
    more_headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """Headers that the dead letter must keep as they are; one of them has a value that is not UTF-8."""
        return ((HEADER, f"{self.kind}:{self.number}".encode()), ("odd", b"\xff\x00\xfe"), *self.more_headers)


Document = dict[str, Any]
Change = Callable[[Document], None]


def _payload(**fields: Any) -> Change:
    return lambda document: document["payload"].update(fields)


def _metadata(**fields: Any) -> Change:
    return lambda document: document["metadata"].update(fields)


def _envelope(**fields: Any) -> Change:
    return lambda document: document.update(fields)


def _without(part: str, name: str) -> Change:
    return lambda document: document[part].pop(name)


def _hours_ahead(document: Document) -> None:
    observed = datetime.fromisoformat(document["metadata"]["observed_at"]) + timedelta(hours=20)
    document["metadata"]["observed_at"] = observed.isoformat()


def _before_reddit(document: Document) -> None:
    document["metadata"]["observed_at"] = document["payload"]["created_utc"] = "1995-01-01T00:00:00Z"


# What each kind changes in a valid document, and what must become of it.
CHANGES: dict[str, list[tuple[Change, Expectation]]] = {
    "wrong types": [
        (_payload(score="many"), "dead"),
        (_payload(title=17), "dead"),
        (_payload(num_comments=1.5), "dead"),
        (_payload(over_18="no"), "dead"),
        (_envelope(payload=[]), "dead"),
        (_metadata(observed_at=1700000000), "dead"),
    ],
    "missing fields": [
        (_without("payload", "id"), "dead"),
        (_without("payload", "title"), "dead"),
        (_without("payload", "score"), "dead"),
        (_without("metadata", "observed_at"), "dead"),
        (lambda document: document.pop("payload"), "dead"),
    ],
    "NUL": [(_payload(title="a\x00b", body="\x00"), "stored"), (_payload(flair="\x00"), "stored")],
    "integer overflow": [
        (_payload(score=2**31), "dead"),
        (_payload(score=-(2**31) - 1), "dead"),
        (_payload(num_comments=2**63), "dead"),
        (_payload(num_comments=10**400), "dead"),
        (_payload(num_comments=-1), "dead"),
        (_payload(score=2**31 - 1), "stored"),
    ],
    "absurd dates": [
        (_metadata(observed_at="9999-12-31T23:59:59Z"), "dead"),
        (_metadata(observed_at="1969-12-31T23:59:59Z"), "dead"),
        (_metadata(observed_at="2026-02-30T00:00:00Z"), "dead"),
        (_metadata(observed_at="0000-00-00T00:00:00Z"), "dead"),
        (_metadata(observed_at="2026-01-01T00:00:00"), "dead"),
        (_hours_ahead, "dead"),
        # Only the table rejects a time before Reddit existed.
        (_before_reddit, "dead"),
        (_payload(created_utc="9998-01-01T00:00:00Z"), "dead"),
        (_payload(created_utc="0001-01-01T00:00:00Z"), "dead"),
    ],
    "unknown schema_version": [
        (_envelope(schema_version=2), "dead"),
        (_envelope(schema_version=0), "dead"),
        (_envelope(schema_version="1"), "dead"),
        (_envelope(schema_version=None), "dead"),
    ],
    "text at the limit": [
        (_payload(title="t" * 600), "stored"),
        (_payload(title="t" * 601), "dead"),
        (_payload(body="b" * 80_000), "stored"),
        (_payload(body="b" * JUST_BELOW_LIMIT), "dead"),
    ],
}
# For each kind, functions that turn the bytes of a valid document into bytes that are not.
BYTES: dict[str, list[tuple[Callable[[bytes], bytes | None], Expectation]]] = {
    "not JSON": [
        (lambda _: b"", "dead"),
        (lambda _: b"hello", "dead"),
        (lambda _: b"\x00\x01\x02\xff", "dead"),
        (lambda valid: valid[:-1], "dead"),
        (lambda valid: valid + b"}", "dead"),
        (lambda _: b"[" * 20_000, "dead"),
        (lambda _: b"null", "dead"),
        (lambda _: None, "dead"),
    ],
    "lone surrogates": [
        (lambda valid: valid.replace(b"A post", b"\\ud800 post"), "dead"),
        (lambda valid: valid.replace(b"A post", b"\\udfff\\ud800"), "dead"),
        (lambda valid: valid.replace(b"A post", b"\xed\xa0\x80 post"), "dead"),
    ],
    "duplicated keys": [
        (lambda valid: valid.replace(b'"score":', b'"score":"x","score":'), "dead"),
        (lambda valid: valid.replace(b'"score":', b'"score":1,"score":'), "either"),
        (lambda valid: valid.replace(b'"schema_version":1', b'"schema_version":2,"schema_version":1'), "either"),
    ],
}
KINDS = (*CHANGES, *BYTES, "wrong key")
MUTATED = "mutated records"
# The keys of batches that a fault damages on the brokers' disks begin with it.
DAMAGED_KEY = b"damaged "


def valid(number: int, now: datetime) -> Document:
    """An envelope as a poller publishes it."""
    return {
        "schema_version": 1,
        "entity_type": "reddit_submission",
        "source": "chaos",
        "mode": "new",
        "emitted_at": now.isoformat(),
        "payload": {
            "id": f"z{number}",
            "subreddit": "python",
            "author": "someone",
            "title": "A post about something",
            "body": "Text",
            "created_utc": (now - timedelta(hours=1)).isoformat(),
            "score": 10,
            "num_comments": 2,
            "upvote_ratio": 0.9,
            "url": "https://example.org/",
            "permalink": f"/r/python/comments/z{number}/",
            "flair": None,
            "over_18": False,
            "is_self": True,
            "edited_at": None,
            "removed_by": None,
        },
        "metadata": {"subreddit": "python", "post_sort": "new", "observed_at": now.isoformat(), "poll_id": "chaos-1"},
    }


def valid_comment(number: int, now: datetime) -> Document:
    """An envelope of a comment as a poller publishes it."""
    return {
        "schema_version": 1,
        "entity_type": "reddit_comment",
        "source": "chaos",
        "mode": "new",
        "emitted_at": now.isoformat(),
        "payload": {
            "id": f"z{number}",
            "post_id": f"z{number}",
            "author": "someone",
            "body": "A comment about something",
            "created_utc": (now - timedelta(hours=1)).isoformat(),
            "score": 10,
        },
        "metadata": {"subreddit": "python", "post_sort": "new", "observed_at": now.isoformat(), "poll_id": "chaos-1"},
    }


def _bytes(document: Document) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def by_hand(first: int) -> Iterator[Poison]:
    """Every kind of KINDS, numbered from `first`."""
    number, now = first, datetime.now(UTC)
    for kind, changes in CHANGES.items():
        for change, expected in changes:
            document = valid(number, now)
            change(document)
            yield Poison(number, kind, f"z{number}".encode(), _bytes(document), expected)
            number += 1
    for kind, spoilers in BYTES.items():
        for spoil, expected in spoilers:
            yield Poison(number, kind, f"z{number}".encode(), spoil(_bytes(valid(number, now))), expected)
            number += 1
    for key in (None, b"", b"another"):
        yield Poison(number, "wrong key", key, _bytes(valid(number, now)), "dead")
        number += 1


VALID: dict[Topic, Callable[[int, datetime], Document]] = {"posts_raw": valid, "comments_raw": valid_comment}
# What is changed in a valid comment, and what must become of it.
COMMENT_CHANGES: tuple[tuple[Change, Expectation], ...] = (
    (_payload(score="many"), "dead"),
    (_payload(score=2**31), "dead"),
    (_payload(depth=-1), "dead"),
    (_payload(post_id=None), "dead"),
    (_payload(parent_id="t9_abc"), "dead"),
    (_without("payload", "id"), "dead"),
    (_without("metadata", "observed_at"), "dead"),
    (_payload(created_utc="9998-01-01T00:00:00Z"), "dead"),
    (_hours_ahead, "dead"),
    (_envelope(schema_version=2), "dead"),
    (_envelope(entity_type="reddit_submission"), "dead"),
    (_payload(body="a\x00b"), "stored"),
    (_payload(body=None, author=None, score=None), "stored"),
    (_payload(body="b" * JUST_BELOW_LIMIT), "dead"),
)


def comments(first: int) -> Iterator[Poison]:
    """Comments that no producer should send, and some that are odd and valid."""
    now = datetime.now(UTC)
    for number, (change, expected) in enumerate(COMMENT_CHANGES, first):
        document = valid_comment(number, now)
        change(document)
        yield Poison(number, "comments", f"z{number}".encode(), _bytes(document), expected, "comments_raw", "gzip")
    number = first + len(COMMENT_CHANGES)
    for value in (b"", b"hello", None, b"[" * 20_000):
        yield Poison(number, "comments", f"z{number}".encode(), value, "dead", "comments_raw", "gzip")
        number += 1
    for key in (None, b"another"):
        yield Poison(number, "comments", key, _bytes(valid_comment(number, now)), "dead", "comments_raw", "gzip")
        number += 1


def foreign(first: int) -> Iterator[Poison]:
    """Records of another client on every topic: valid ones for the raw topics, and none of ours for the others."""
    number, now = first, datetime.now(UTC)
    ways: tuple[Way, ...] = get_args(Way)
    large = (("dlq_of", b"x" * JUST_BELOW_LIMIT), *((("attempt", b"1"),) * 10_000))
    for topic in TOPICS:
        made = VALID.get(topic)
        kinds = [(f"foreign, {way}", way, (("caf\xe9", b"1"),) if way == "latin-1" else ()) for way in ways[1:]]
        for kind, way, headers in (*kinds, ("headers of 1 MiB", "zstd", large)):
            value = _bytes(made(number, now)) if made else b"no record of ours"
            expected: Expectation = "nowhere" if way == "aborted" else "stored" if made else "dead"
            yield Poison(number, kind, f"z{number}".encode(), value, expected, topic, way, headers)
            number += 1


def for_every_stage(first: int) -> Iterator[Poison]:
    """A record that is no document, and one that only the table rejects: both agents write a dead letter."""
    document = valid(first + 1, datetime.now(UTC))
    _before_reddit(document)
    yield Poison(first, "not JSON", f"z{first}".encode(), b"hello", "dead")
    yield Poison(first + 1, "absurd dates", f"z{first + 1}".encode(), _bytes(document), "dead")


def is_damaged(record: Any) -> bool:
    """Whether the record is of a batch that was damaged, or should have been.

    A producer may have sent a batch twice, of which one was damaged. The letters of the other one keep its key.
    """
    if isinstance(record, UnreadableRecord):
        return True
    return (record.key or b"").startswith(DAMAGED_KEY) and "dlq_topic" not in dict(record.headers)


VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**31, 2**64, 1e308, "", "\x00", "\u2028", "a" * 5_000, [], {}, [[]],
    "2026-01-01T00:00:00Z", "nan", -0.0,
)  # fmt: skip


def mutated(number: int, rnd: random.Random) -> Poison:
    """A valid record with one to three changes, of its values or of its bytes."""
    document = valid(number, datetime.now(UTC))
    value: bytes
    if rnd.random() < 0.6:
        for _ in range(rnd.randint(1, 3)):
            part = rnd.choice([document, *(value for value in document.values() if isinstance(value, dict) and value)])
            name = rnd.choice(list(part))
            if rnd.random() < 0.25:
                del part[name]
            else:
                part[name] = rnd.choice(VALUES)
        value = _bytes(document)
    else:
        spoiled = bytearray(_bytes(document))
        for _ in range(rnd.randint(1, 3)):
            at = rnd.randrange(len(spoiled))
            match rnd.randrange(4):
                case 0:
                    spoiled[at] = rnd.randrange(256)
                case 1:
                    del spoiled[at : at + rnd.randint(1, 20)]
                case 2:
                    spoiled[at:at] = rnd.randbytes(rnd.randint(1, 8))
                case _:
                    spoiled[at:at] = spoiled[at : at + rnd.randint(1, 40)]
        value = bytes(spoiled)
    return Poison(number, MUTATED, f"z{number}".encode(), value, "either")
