"""Apache Kafka's jars from Maven Central, resolved once in pure Python and checked against the hashes that the project pins."""

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
# Not log4j-slf4j-impl: its dependency management pulls kafka-clients down to 3.8.0, and the broker dies of it.
_ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
_PINNED = Path(__file__).with_name("kafka_jars.txt")
_ATTEMPTS = 3


def default_cache() -> Path:
    """Where the jars are kept between runs, for all checkouts of this user."""
    return Path.home() / ".cache" / "signalflow" / f"kafka-{KAFKA_VERSION}"


def kafka_jars(directory: Path | None = None) -> list[Path]:
    """All jars of the classpath. Downloads 43 MB (about 15 s) when they are not there; the directory is complete or absent.

    Raises Retryable when they cannot be downloaded, Fatal when one is not what the project pins.
    """
    target = directory or default_cache()
    names = sorted(_pinned())
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name(f"{target.name}.lock")):
            if not target.is_dir():  # another process was first
                _install(target)
    return [target / name for name in names]


def _pinned() -> dict[str, str]:
    """File name to SHA-256."""
    rows = (line.split() for line in _PINNED.read_text().splitlines())
    return {name: digest for digest, name in rows}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(target: Path) -> None:
    # jgo leaves half a file in its caches when it is interrupted, and trusts it the next time: work in a directory of
    # our own, and give it its name when all is there. What an interrupted install left is of no use.
    for leftover in target.parent.glob(f"{target.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}-") as scratch:
        complete = Path(scratch) / "complete"
        complete.mkdir()
        found = {jar.name: jar for jar in _resolve(Path(scratch))}
        for name, digest in _pinned().items():
            if name not in found or hashlib.sha256(found[name].read_bytes()).hexdigest() != digest:
                raise Fatal(
                    f"{name} from Maven Central is not the file that signalflow was built with; nothing was kept"
                )
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
        except (
            OSError,
            RuntimeError,
            ValueError,
        ) as error:  # requests' errors are OSErrors; a wrong checksum, ValueError
            structlog.get_logger().warning("kafka_download_failed", attempt=attempt, error=str(error)[:300])
            shutil.rmtree(repository, ignore_errors=True)
    raise Retryable(
        "Apache Kafka could not be downloaded from Maven Central; try again with a network connection, or give --kafka HOST:PORT"
    )
