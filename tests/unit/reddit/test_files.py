"""Files of posts: what is read, what is rejected and why, and that a line counts as published when it is confirmed."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from signalflow.domain.backoff import Backoff
from signalflow.domain.pace import Pace
from signalflow.errors import Invalid
from signalflow.events import CommentEnvelope, Envelope
from signalflow.reddit import backfill, file_bytes
from signalflow.reddit.backfill import ByTopic, Hooks, publish_file
from signalflow.reddit.file_values import MAX_LINE_BYTES
from signalflow.reddit.files import Tally, newest_created, records_in

OBSERVED = datetime(2013, 6, 1, tzinfo=UTC)


def line(id_: str = "abc", **changes: Any) -> bytes:
    post = {
        "id": id_, "subreddit": "python", "title": "t", "created_utc": 1356998582.0, "score": 1, "num_comments": 0,
        "over_18": False, "is_self": True,
    }  # fmt: skip
    return json.dumps(post | changes).encode()


def comment(id_: str = "c1", **changes: Any) -> bytes:
    fields = {"id": id_, "link_id": "t3_a1", "subreddit": "python", "body": "b", "created_utc": 1356998590}
    return json.dumps(fields | changes).encode()


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines))
    return path


class Brokers:
    """A sender that loses what it is told to, and remembers what it confirmed."""

    def __init__(self, *outages: list[bool]) -> None:
        self.outages = list(outages)
        self.calls: list[int] = []
        self.confirmed: list[Envelope] = []

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        self.calls.append(len(envelopes))
        done = self.outages.pop(0) if self.outages else [True] * len(envelopes)
        self.confirmed += [envelope for envelope, ok in zip(envelopes, done, strict=True) if ok]
        return done


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "WHILE_AWAY", Backoff(first=0.0, most=0.0))


def test_one_bad_line_harms_no_other_and_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "f", line("a1"), b"{nonsense", line("a2", score="x"), b"", b"  ", line("a3"), line("A4"))
    tally = Tally()
    assert [post.id for post in records_in(path, OBSERVED, tally)] == ["a1", "a3"]
    assert (tally.lines, tally.rejected) == (5, 3)
    assert [(reason.line, reason.field) for reason in tally.reasons] == [(2, None), (3, "score"), (7, "id")]


def test_only_the_first_reasons_are_kept(tmp_path: Path) -> None:
    tally = Tally()
    assert list(records_in(write(tmp_path / "f", *[b"x"] * 100), OBSERVED, tally)) == []
    assert (tally.rejected, len(tally.reasons)) == (100, 5)


def test_plain_and_compressed_files_give_the_same_posts(tmp_path: Path) -> None:
    lines = [line("a1", title="Ünïcode"), line("a2")]
    plain = write(tmp_path / "plain", *lines)
    packed = tmp_path / "packed"  # recognised by its content, not by its name
    packed.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    windows = write(tmp_path / "windows", *[text + b"\r" for text in lines])
    found = [list(records_in(path, OBSERVED, Tally())) for path in (plain, packed, windows)]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 2


def test_an_endless_line_is_rejected_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "f.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(line("a1") + b"\n")
        for _ in range(64):
            file.write(b"x" * MAX_LINE_BYTES)
        file.write(b"\n" + line("a2") + b"\n")
    tally = Tally()
    tracemalloc.start()
    try:
        ids = [post.id for post in records_in(path, OBSERVED, tally)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ids == ["a1", "a2"]
    assert [(reason.line, reason.reason) for reason in tally.reasons] == [(2, "longer than 1048576 bytes")]
    assert peak < 8 * MAX_LINE_BYTES


@pytest.mark.parametrize("damage", [lambda packed: packed[:-20], lambda packed: packed[:30] + b"????" + packed[34:]])
async def test_a_damaged_file_is_refused_before_anything_is_published(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "f.gz"
    path.write_bytes(damage(gzip.compress(b"\n".join(line(f"a{n}") for n in range(500)))))
    brokers = Brokers()
    with pytest.raises(Invalid, match="damaged gzip file"):
        await publish_file(path, brokers)
    assert brokers.calls == []


def test_the_newest_creation_time_ignores_what_is_invalid(tmp_path: Path) -> None:
    path = write(tmp_path / "f", line("a1", created_utc=1356998582), line("BAD", created_utc=1377010438), b"x")
    assert newest_created(path, OBSERVED) == datetime(2013, 1, 1, 0, 3, 2, tzinfo=UTC)
    assert newest_created(write(tmp_path / "g", b"x"), OBSERVED) is None


async def test_the_same_file_gives_the_same_observations_whenever_it_is_published(tmp_path: Path) -> None:
    path = write(tmp_path / "f", line("a1", created_utc=1356998582), line("a2", created_utc=1377010438))
    first, second = Brokers(), Brokers()
    outcome = await publish_file(path, first)
    await publish_file(path, second)
    newest = datetime(2013, 8, 20, 14, 53, 58, tzinfo=UTC)  # date -ud @1377010438
    assert outcome.observed_at == newest
    assert [(envelope.payload, envelope.metadata) for envelope in first.confirmed] == [
        (envelope.payload, envelope.metadata) for envelope in second.confirmed
    ]
    envelope = first.confirmed[0]
    assert (envelope.mode, envelope.source, envelope.metadata.observed_at) == ("backfill", "file", newest)


async def test_a_given_observation_time_refuses_younger_posts(tmp_path: Path) -> None:
    path = write(tmp_path / "f", line("a1"), line("a2", created_utc=1377010438))
    outcome = await publish_file(path, Brokers(), OBSERVED)
    assert (outcome.tally.published, outcome.observed_at) == (1, OBSERVED)
    assert [reason.field for reason in outcome.tally.reasons] == ["created_utc"]


async def test_what_the_brokers_did_not_confirm_is_sent_again_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "f", line("a1"), line("a2"), line("a3"))
    brokers = Brokers([False, True, False], [False, False], [True, False])
    waits: list[int] = []
    outcome = await publish_file(path, brokers, hooks=Hooks(on_retry=waits.append))
    assert brokers.calls == [3, 2, 2, 1]
    assert sorted(envelope.payload.id for envelope in brokers.confirmed) == ["a1", "a2", "a3"]
    assert outcome.tally.published == 3
    assert waits == [2, 2, 1]


async def test_posts_and_comments_of_one_file_go_to_their_own_topics(tmp_path: Path) -> None:
    path = write(tmp_path / "f", line("a1"), comment("c1"), line("a2"), comment("c2"))
    posts, comments = Brokers([False, True]), Brokers()
    outcome = await publish_file(path, ByTopic(posts, comments))
    assert (outcome.tally.posts, outcome.tally.comments) == (2, 2)
    assert sorted(envelope.payload.id for envelope in posts.confirmed) == ["a1", "a2"]
    assert [envelope.payload.id for envelope in comments.confirmed] == ["c1", "c2"]
    (first, _) = comments.confirmed
    assert isinstance(first, CommentEnvelope)
    assert (first.mode, first.source, first.key, first.metadata.subreddit) == ("backfill", "file", b"a1", "python")
    assert comments.calls == [2], "what was confirmed is not sent again"


async def test_a_file_that_is_damaged_within_is_published_up_to_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "f.gz"
    path.write_bytes(gzip.compress(b"\n".join(line(f"a{n}", title=f"{n:x}" * 50) for n in range(500)))[:-200])
    brokers = Brokers()
    with pytest.raises(Invalid, match="damaged gzip file"):
        await publish_file(path, brokers, OBSERVED)
    assert 0 < len(brokers.confirmed) < 500


@pytest.mark.slow
@pytest.mark.parametrize("packed", ["plain", "gzip", "wide"])
async def test_a_file_of_any_length_is_published_in_the_same_memory(tmp_path: Path, packed: str) -> None:
    path = tmp_path / "f"
    write_stream(path, packed, (line(f"{n}", selftext="x" * 4000) for n in range(15_000)))

    class Nothing:
        async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
            return [True] * len(envelopes)

    tracemalloc.start()
    try:
        outcome = await publish_file(path, Nothing(), OBSERVED)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert outcome.tally.published == 15_000
    assert peak < 16_000_000, "the file holds 60 MB of posts, a batch 4 MB"


def write_stream(path: Path, packed: str, lines: Iterator[bytes]) -> None:
    """Write a file as archives are written: the packer never knows the length."""
    with path.open("wb") as raw:
        if packed == "gzip":
            out: Any = gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1)
        elif packed == "wide":
            out = file_bytes.zstd.ZstdFile(raw, "wb", options={file_bytes.zstd.CompressionParameter.window_log: 31})
        else:
            out = raw
        for text in lines:
            out.write(text + b"\n")
        out.close()


async def test_a_rate_bounds_what_is_sent_in_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, waits = [100.0], []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(backfill.asyncio, "sleep", sleep)
    monkeypatch.setattr(backfill.time, "monotonic", lambda: now[0])
    brokers = Brokers()
    path = write(tmp_path / "f", *[line(f"a{n}") for n in range(95)])
    await publish_file(path, brokers, OBSERVED, pace=Pace(10))
    assert brokers.calls == [10] * 9 + [5]
    assert now[0] == pytest.approx(100 + 9.5), "95 records at 10 a second; the end waits for the last of them"


async def test_progress_ends_at_two_passes_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "f", *[line(f"a{n}") for n in range(2000)])
    seen: list[int] = []
    await publish_file(path, Brokers(), hooks=Hooks(progress=seen.append))
    assert seen == sorted(seen)
    assert seen[-1] == 2 * path.stat().st_size


@pytest.mark.slow
async def test_all_real_posts_are_valid(shared_data: Path) -> None:
    brokers = Brokers()
    outcome = await publish_file(shared_data / "real_posts_2013.ndjson.gz", brokers)
    assert (outcome.tally.published, outcome.tally.rejected) == (42_283, 0)
    assert len({envelope.payload.id for envelope in brokers.confirmed}) == 42_283
    assert max(brokers.calls) <= 1000
