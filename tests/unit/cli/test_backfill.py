"""`signalflow backfill`: its help, wrong input, and the summary at the end."""

import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest
import typer
from typer.testing import CliRunner

from signalflow.cli import backfill, backfill_run, file_arguments, ingest
from signalflow.errors import Invalid
from signalflow.events import Envelope, encode
from signalflow.kafka import publisher
from signalflow.settings import get_settings
from tests.unit.reddit.test_files import comment, line, write


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)
    backfill.register(app)
    ingest.register(app)
    return app


TOPICS = {"reddit.posts.raw": UUID(int=1), "reddit.comments.raw": UUID(int=2)}


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Envelope]]:
    """What the command published; no broker is needed."""
    sent: list[Envelope] = []

    async def publish(self: publisher.Publisher, envelopes: Sequence[Envelope]) -> list[bool]:
        sent.extend(envelopes)
        return [True] * len(envelopes)

    async def create_topics(settings: object) -> list[str]:
        return []

    async def topic_ids(settings: object, names: Sequence[str]) -> dict[str, UUID]:
        return {name: TOPICS[name] for name in names}

    monkeypatch.setattr(publisher.Publisher, "publish", publish)
    monkeypatch.setattr(backfill_run, "create_topics", create_topics)
    monkeypatch.setattr(backfill_run, "topic_ids", topic_ids)
    monkeypatch.setenv("SIGNALFLOW_STATE_DIR", str(tmp_path / "state"))
    get_settings.cache_clear()
    yield sent
    get_settings.cache_clear()


def test_help_names_the_fields_of_a_line(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["backfill", "--help"])
    assert result.exit_code == 0
    assert "num_comments" in result.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["/no/such/file"], "FILE"),
        (["--observed-at", "tomorrow", __file__], "--observed-at"),
        ([], "FILE"),
    ],
)
def test_wrong_usage_names_the_argument(app: typer.Typer, arguments: list[str], named: str) -> None:
    result = CliRunner().invoke(app, ["backfill", *arguments])
    assert result.exit_code == 2
    assert named in result.output


def test_the_summary_counts_lines_and_says_why_some_were_rejected(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    path = write(tmp_path / "f", line("a1"), line("a2", num_comments=None), line("a3"))
    result = CliRunner().invoke(app, ["backfill", str(path), "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["lines"], summary["published"], summary["rejected"]) == (3, 2, 1)
    assert [envelope.payload.id for envelope in published] == ["a1", "a3"]
    (reason,) = summary["files"][0]["reasons"]
    assert (reason["line"], reason["field"]) == (2, "num_comments")
    human = CliRunner().invoke(app, ["backfill", str(path)])
    assert "2 published (2 posts, 0 comments), 1 rejected of 3 lines" in human.stdout
    assert "line 2: num_comments:" in human.stdout


def test_a_file_without_a_valid_line_fails(app: typer.Typer, published: list[Envelope], tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["backfill", str(write(tmp_path / "f", b"x", b"y"))]).exit_code == 1
    assert CliRunner().invoke(app, ["backfill", str(write(tmp_path / "empty"))]).exit_code == 0
    assert published == []


def test_a_document_that_is_cut_is_published_up_to_the_cut_and_the_command_fails(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"[" + line("a1") + b",\n" + line("a2")[:-9])
    result = CliRunner().invoke(app, ["backfill", str(path)])
    assert result.exit_code == 1
    assert [envelope.payload.id for envelope in published] == ["a1"]
    assert "line 2: line: the file ends within this value" in result.stdout


def _pipe(tmp_path: Path) -> tuple[Path, threading.Thread]:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(line("a1") + b"\n" + line("a2")), daemon=True)
    writer.start()
    return pipe, writer


def test_a_pipe_is_read_once_with_a_time_of_observation(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    pipe, writer = _pipe(tmp_path)
    result = CliRunner().invoke(app, ["backfill", str(pipe), "--observed-at", "2020-01-01"])
    assert result.exit_code == 0, result.output
    writer.join(10)
    assert [envelope.payload.id for envelope in published] == ["a1", "a2"]


def test_a_pipe_without_a_time_of_observation_is_refused_unread(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    pipe, _ = _pipe(tmp_path)
    result = CliRunner().invoke(app, ["backfill", str(pipe)])
    assert isinstance(result.exception, Invalid)
    assert "can be read only once" in str(result.exception)
    assert "--observed-at" in str(result.exception)
    assert published == []
    pipe.read_bytes()  # ends the writer


def test_a_dash_is_standard_input(
    app: typer.Typer, published: list[Envelope], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, writer = _pipe(tmp_path)
    monkeypatch.setattr(file_arguments, "STANDARD_INPUT", pipe)
    result = CliRunner().invoke(app, ["backfill", "-", "--observed-at", "2020-01-01"])
    assert result.exit_code == 0, result.output
    writer.join(10)
    assert len(published) == 2


def test_an_observation_time_without_an_offset_is_utc(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    path = str(write(tmp_path / "f", line("a1")))
    for text in ("2020-01-01T12:00", "2020-01-01T13:00:00+01:00"):
        assert CliRunner().invoke(app, ["backfill", path, "--observed-at", text]).exit_code == 0
    assert {envelope.metadata.observed_at.isoformat() for envelope in published} == {"2020-01-01T12:00:00+00:00"}


@pytest.mark.parametrize(
    "name", [b"f\xfcr [b][blink=1][red].ndjson", b"[bold].ndjson", b"two\nlines.ndjson", "für猫.ndjson".encode()]
)
def test_a_file_may_have_any_name(app: typer.Typer, published: list[Envelope], tmp_path: Path, name: bytes) -> None:
    path = write(tmp_path / os.fsdecode(name), line("a1"))
    result = CliRunner().invoke(app, ["backfill", str(path)])
    assert result.exit_code == 0, result.output
    assert "1 published (1 posts, 0 comments), 0 rejected of 1 lines" in result.stdout
    assert encode(published[0])


def test_a_file_that_cannot_be_read_keeps_no_other_from_being_published(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    good, page, other = (tmp_path / name for name in ("good", "page", "other"))
    write(good, line("a1"))
    write(page, b"<html>", b"</html>")
    write(other, line("a3"))
    result = CliRunner().invoke(app, ["backfill", "--json", str(good), str(page), str(other)])
    assert result.exit_code == 1
    assert [envelope.payload.id for envelope in published] == ["a1", "a3"]
    summary = json.loads(result.stdout)
    assert [file["published"] for file in summary["files"]] == [1, 1]
    assert summary["errors"] == [f"{page} is HTML or XML: save the JSON instead"]
    human = CliRunner().invoke(app, ["backfill", str(good), str(page), str(other)])
    assert f"{page} is HTML or XML" in " ".join(human.stderr.split())
    assert "other: 1 published" in human.stdout


def test_every_rejected_line_is_in_the_report_with_its_file_its_line_and_the_reason(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    first = write(tmp_path / "first", *[line(f"a{n}", score="x" if n % 2 else 1) for n in range(2_000)])
    second = write(tmp_path / "second", b"nonsense", comment("c1"), comment("c2", link_id=None))
    report = tmp_path / "rejected.ndjson"
    report.write_text("of an earlier run\n")
    done = CliRunner().invoke(app, ["backfill", str(first), str(second), "--rejected", str(report), "--rate", "0"])
    assert done.exit_code == 0, done.output
    rejected = [json.loads(text) for text in report.read_text().splitlines()]
    assert [(each["file"], each["line"], each["field"]) for each in rejected] == [
        *((str(first), number, "score") for number in range(2, 2_001, 2)),
        (str(second), 1, None),
        (str(second), 3, "link_id"),
    ]
    assert {each["reason"] for each in rejected[:1_000]} == {"not a number"}
    assert len(published) == 1_001


def test_the_old_name_does_the_same(app: typer.Typer, published: list[Envelope], tmp_path: Path) -> None:
    path = write(tmp_path / "f", line("a1"), comment("c1"))
    done = CliRunner().invoke(app, ["ingest", "file", str(path), "--json"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert (summary["posts"], summary["comments"], summary["lines"]) == (1, 1, 2)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A directory with three files of posts, one of them in a directory of its own, and a description."""
    (tmp_path / "2024" / "comments").mkdir(parents=True)
    write(tmp_path / "2024" / "RS_2024-02.ndjson", line("b"))
    write(tmp_path / "2024" / "RS_2024-01.ndjson", line("a"))
    write(tmp_path / "2024" / "comments" / "RC_2024-01.json", comment("c"))
    write(tmp_path / "2024" / "README.txt", b"what this is")
    return tmp_path / "2024"


@pytest.mark.parametrize(
    ("argument", "ids"),
    [
        ("", ["a", "b", "c"]),
        ("RS_*", ["a", "b"]),
        ("**/*.json", ["c"]),
        ("R[S]_2024-0?.ndjson", ["a", "b"]),
        ("../2024", ["a", "b", "c"]),
    ],
)
def test_directories_and_patterns_stand_for_their_files_in_order(
    app: typer.Typer, published: list[Envelope], archive: Path, argument: str, ids: list[str]
) -> None:
    once = str(archive / argument)
    done = CliRunner().invoke(app, ["backfill", once, once])
    assert done.exit_code == 0, done.output
    assert [envelope.payload.id for envelope in published] == ids, "each file once, though it was named twice"


@pytest.mark.parametrize("argument", ["RT_*", "empty"])
def test_what_stands_for_no_file_is_a_wrong_use(app: typer.Typer, archive: Path, argument: str) -> None:
    (archive / "empty").mkdir()
    done = CliRunner().invoke(app, ["backfill", str(archive / argument)])
    assert done.exit_code == 2
    assert argument in done.output


def test_the_report_is_never_written_over_a_file_that_is_to_be_read(
    app: typer.Typer, published: list[Envelope], archive: Path
) -> None:
    path = archive / "RS_2024-01.ndjson"
    before = path.read_bytes()
    done = CliRunner().invoke(app, ["backfill", str(archive), "--rejected", str(path)])
    assert done.exit_code == 2
    assert "--rejected" in done.output
    assert (path.read_bytes(), published) == (before, [])
