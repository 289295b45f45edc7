"""A backfill that was interrupted goes on behind the last line that Kafka confirmed, and leaves none out."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from signalflow.events import Envelope
from signalflow.kafka import publisher
from tests.unit.cli import test_backfill
from tests.unit.reddit.test_files import line, write

app, published = test_backfill.app, test_backfill.published

LINES = 2_600  # two full batches and a rest


class Kill(Exception):
    """The process ends here."""


class Killing:
    """Publishes, and is killed at the n-th call: before the brokers have the records, or after."""

    def __init__(self, sent: list[Envelope], nth: int, written: bool) -> None:
        self._sent, self._nth, self._written = sent, nth, written
        self._calls = 0

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        self._calls += 1
        if self._calls != self._nth or self._written:
            self._sent.extend(envelopes)
        if self._calls == self._nth:
            raise Kill
        return [True] * len(envelopes)


def killed_at(monkeypatch: pytest.MonkeyPatch, sent: list[Envelope], nth: int, *, written: bool = False) -> None:
    killing = Killing(sent, nth, written)
    monkeypatch.setattr(publisher.Publisher, "publish", lambda self, envelopes: killing.publish(envelopes))


def run(app: typer.Typer, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["backfill", *map(str, arguments), "--rate", "0"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "f", *[line(f"{n}") for n in range(LINES)])


@pytest.mark.parametrize("written", [False, True], ids=["before it was written", "after it was written"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_what_was_confirmed_is_passed_over_and_all_else_is_sent(
    app: typer.Typer, published: list[Envelope], file: Path, monkeypatch: pytest.MonkeyPatch, nth: int, written: bool
) -> None:
    with monkeypatch.context() as killing:
        killed_at(killing, published, nth, written=written)
        assert isinstance(run(app, file).exception, Kill)
    done = run(app, file, "--json")
    assert done.exit_code == 0, done.output
    sent = Counter(envelope.payload.id for envelope in published)
    assert set(sent) == {str(n) for n in range(LINES)}
    # The batch that was under way may be sent twice, no other.
    confirmed = (nth - 1) * 1000
    assert all(sent[str(n)] == 1 for n in range(confirmed))
    assert len({envelope.metadata.observed_at for envelope in published}) == 1
    (summary,) = json.loads(done.stdout)["files"]
    assert (summary["lines"], summary["published"], summary["lines_before"]) == (LINES, LINES, confirmed)


def test_a_time_of_observation_that_is_given_again_goes_on(
    app: typer.Typer, published: list[Envelope], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for time in ("2020-01-01T12:00", "2020-01-01T13:00+01:00"):
        with monkeypatch.context() as killing:
            killed_at(killing, published, 2)
            run(app, file, "--observed-at", time)
    assert [envelope.payload.id for envelope in published] == [str(n) for n in range(2_000)]


def test_a_run_from_the_start_forgets_the_bookmark_at_once(
    app: typer.Typer, published: list[Envelope], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for nth, option in ((2, "--json"), (1, "--from-start")):
        with monkeypatch.context() as killing:
            killed_at(killing, published, nth)
            run(app, file, option)
    done = run(app, file, "--json")
    assert json.loads(done.stdout)["files"][0]["lines_before"] == 0


def test_a_run_that_is_done_leaves_no_bookmark_and_the_next_one_begins_anew(
    app: typer.Typer, published: list[Envelope], file: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        assert run(app, file).exit_code == 0
    assert len(published) == 2 * LINES
    assert list((tmp_path / "state" / "backfill").iterdir()) == []


def test_files_that_were_done_before_the_interruption_are_not_sent_again(
    app: typer.Typer, published: list[Envelope], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write(tmp_path / "other", line("a1"), b"nonsense", line("a2"))
    report = tmp_path / "rejected"
    with monkeypatch.context() as killing:
        killed_at(killing, published, 3)
        assert isinstance(run(app, other, file, "--rejected", report).exception, Kill)
    assert len(published) == 1_002
    done = run(app, other, file, "--rejected", report, "--json")
    assert done.exit_code == 0, done.output
    assert len(published) == LINES + 2
    assert [file["lines_before"] for file in json.loads(done.stdout)["files"]] == [3, 1_000]
    assert [json.loads(text)["line"] for text in report.read_text().splitlines()] == [2]


@pytest.mark.parametrize("why", ["--from-start", "another time", "the file changed", "the topics are new"])
def test_a_bookmark_of_something_else_counts_for_nothing(
    app: typer.Typer, published: list[Envelope], file: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    with monkeypatch.context() as killing:
        killed_at(killing, published, 2)
        run(app, file)
    published.clear()
    arguments: list[str] = []
    if why == "--from-start":
        arguments = ["--from-start"]
    elif why == "another time":
        arguments = ["--observed-at", "2020-01-01"]
    elif why == "the file changed":
        file.write_bytes(file.read_bytes().replace(b'"0"', b'"z"'))
    else:
        monkeypatch.setitem(test_backfill.TOPICS, "reddit.posts.raw", test_backfill.UUID(int=9))
    done = run(app, file, *arguments)
    assert done.exit_code == 0, done.output
    assert len(published) == LINES


@pytest.mark.parametrize("content", [b"", b"{", b'{"identity": 1}'])
def test_a_bookmark_that_was_cut_begins_the_file_anew(
    app: typer.Typer, published: list[Envelope], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    content: bytes,
) -> None:  # fmt: skip
    with monkeypatch.context() as killing:
        killed_at(killing, published, 2)
        run(app, file)
    published.clear()
    (bookmark,) = (tmp_path / "state" / "backfill").iterdir()
    bookmark.write_bytes(content)
    assert run(app, file).exit_code == 0
    assert len(published) == LINES


def test_a_document_that_breaks_off_is_read_no_further_by_the_next_run(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    path = write(tmp_path / "f", b"[" + line("a1") + b",", line("a2")[:-9])
    for lines_before in (0, 2):
        done = run(app, path, "--json")
        assert done.exit_code == 1
        (summary,) = json.loads(done.stdout)["files"]
        assert (summary["lines_before"], summary["read_to_end"], summary["rejected"]) == (lines_before, False, 1)
    assert len(published) == 1
