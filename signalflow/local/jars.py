"""Apache Kafka's jars from Maven Central: downloaded once, in pure Python, and checked against pinned hashes."""

import contextlib
import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import structlog

from signalflow.errors import Fatal, Retryable

KAFKA_VERSION = "4.1.1"
# Not log4j-slf4j-impl: its dependency management lowers kafka-clients to 3.8.0, with which the broker does not start.
_ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
_PINNED = Path(__file__).with_name("kafka_jars.txt")
_ATTEMPTS = 3


def default_cache() -> Path:
    """Where the jars are kept, for all checkouts of this user."""
    return Path.home() / ".cache" / "signalflow" / f"kafka-{KAFKA_VERSION}"


def kafka_jars(directory: Path | None = None) -> list[Path]:
    """All jars of the classpath. Downloads them if they are missing: 43 MB, about 15 s.

    The directory is complete or absent. Raises Retryable when the download fails, Fatal when a hash is wrong.
    """
    target = directory or default_cache()
    names = sorted(_pinned())
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name(f"{target.name}.lock")):
            if not target.is_dir():  # while we waited for the lock, another process may have downloaded them
                _install(target)
    return [target / name for name in names]


def _pinned() -> dict[str, str]:
    """The SHA-256 of each jar, by file name."""
    rows = (line.split() for line in _PINNED.read_text().splitlines())
    return {name: digest for digest, name in rows}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(target: Path) -> None:
    # When jgo is interrupted it leaves half a file in its cache, and trusts it the next time. So we work in a scratch
    # directory, and rename it when it is complete. What an earlier interrupted download left is deleted.
    for leftover in target.parent.glob(f"{target.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}-") as scratch:
        complete = Path(scratch) / "complete"
        complete.mkdir()
        found = {jar.name: jar for jar in _resolve(Path(scratch))}
        for name, digest in _pinned().items():
            if name not in found or hashlib.sha256(found[name].read_bytes()).hexdigest() != digest:
                raise Fatal(f"{name} from Maven Central has not the hash that signalflow pins; nothing was kept")
            shutil.move(found[name], complete / name)
        complete.rename(target)


def _resolve(scratch: Path) -> list[Path]:
    try:
        from jgo import MAVEN_CENTRAL_URL, EnvironmentBuilder, LinkStrategy, MavenContext
    except ImportError:
        raise Fatal("the package jgo is missing: install signalflow[local], or give --kafka HOST:PORT") from None
    for attempt in range(1, _ATTEMPTS + 1):
        repository = scratch / f"repository-{attempt}"
        context = MavenContext(repo_cache=repository, remote_repos={"central": MAVEN_CENTRAL_URL})
        builder = EnvironmentBuilder(
            context=context, cache_dir=scratch / f"environment-{attempt}", link_strategy=LinkStrategy.HARD
        )
        try:
            return [Path(jar) for jar in builder.from_endpoint(_ENDPOINT, update=False).all_jars]
        # The errors of requests are OSErrors; jgo reports a wrong checksum as ValueError.
        except (OSError, RuntimeError, ValueError) as error:
            structlog.get_logger().warning("kafka_download_failed", attempt=attempt, error=str(error)[:300])
            shutil.rmtree(repository, ignore_errors=True)
    raise Retryable(
        "Apache Kafka could not be downloaded from Maven Central;"
        " try again with a network connection, or give --kafka HOST:PORT"
    )
