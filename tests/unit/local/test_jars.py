"""Kafka's jars: either all of them with their pinned hashes, or none."""

import hashlib
from pathlib import Path

import pytest

from signalflow.errors import Fatal, Retryable
from signalflow.local import jars


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A Maven Central with two jars. The project pins their first content; the test may change it."""
    content = {"kafka.jar": b"broker", "slf4j.jar": b"logs"}
    pinned = tmp_path / "pinned.txt"
    pinned.write_text("".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in content.items()))
    monkeypatch.setattr(jars, "_PINNED", pinned)

    def resolve(scratch: Path) -> list[Path]:
        if not content:
            raise Retryable("no network")
        for name, data in content.items():
            (scratch / name).write_bytes(data)
        return [scratch / name for name in content]

    monkeypatch.setattr(jars, "_resolve", resolve)
    return content


def test_the_second_start_needs_no_network(tmp_path: Path, maven: dict[str, bytes]) -> None:
    first = jars.kafka_jars(tmp_path / "cache")
    maven.clear()
    assert jars.kafka_jars(tmp_path / "cache") == first
    assert sorted(jar.read_bytes() for jar in first) == [b"broker", b"logs"]


def test_a_jar_with_another_hash_is_not_kept(tmp_path: Path, maven: dict[str, bytes]) -> None:
    original = maven["kafka.jar"]
    maven["kafka.jar"] = b"broker with a back door"
    with pytest.raises(Fatal, match=r"kafka\.jar"):
        jars.kafka_jars(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    maven["kafka.jar"] = original
    assert len(jars.kafka_jars(tmp_path / "cache")) == 2


def test_a_failed_download_leaves_nothing_that_the_next_one_would_use(tmp_path: Path, maven: dict[str, bytes]) -> None:
    kept = dict(maven)
    (tmp_path / "cache-interrupted").mkdir()
    maven.clear()
    with pytest.raises(Retryable):
        jars.kafka_jars(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    maven.update(kept)
    jars.kafka_jars(tmp_path / "cache")
    assert not (tmp_path / "cache-interrupted").exists()
