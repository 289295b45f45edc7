"""`signalflow ingest file`: its help, wrong input, and the summary at the end."""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from signalflow.cli import ingest
from signalflow.errors import Invalid
from signalflow.events import Envelope, encode
from signalflow.kafka import admin, publisher
from tests.unit.reddit.test_files import line, write


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)
    ingest.register(app)
    return app


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[Envelope]:
    """What the command published; no broker is needed."""
    sent: list[Envelope] = []

    async def publish(self: publisher.Publisher, envelopes: Sequence[Envelope]) -> list[bool]:
        sent.extend(envelopes)
        return [True] * len(envelopes)

    async def create_topics(settings: object) -> list[str]:
        return []

    monkeypatch.setattr(publisher.Publisher, "publish", publish)
    monkeypatch.setattr(admin, "create_topics", create_topics)
    return sent


def test_help_names_the_fields_of_a_line(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["ingest", "file", "--help"])
    assert result.exit_code == 0
    assert "num_comments" in result.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["/no/such/file"], "PATH"),
        (["--observed-at", "tomorrow", __file__], "--observed-at"),
        ([], "PATH"),
    ],
)
def test_wrong_usage_names_the_argument(app: typer.Typer, arguments: list[str], named: str) -> None:
    result = CliRunner().invoke(app, ["ingest", "file", *arguments])
    assert result.exit_code == 2
    assert named in result.output


def test_the_summary_counts_lines_and_says_why_some_were_rejected(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    path = write(tmp_path / "f", line("a1"), line("a2", num_comments=None), line("a3"))
    result = CliRunner().invoke(app, ["ingest", "file", str(path), "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["lines"], summary["published"], summary["rejected"]) == (3, 2, 1)
    assert [envelope.payload.id for envelope in published] == ["a1", "a3"]
    (reason,) = summary["files"][0]["reasons"]
    assert (reason["line"], reason["field"]) == (2, "num_comments")
    human = CliRunner().invoke(app, ["ingest", "file", str(path)])
    assert "2 published, 1 rejected of 3 lines" in human.stdout
    assert "line 2: num_comments:" in human.stdout


def test_a_file_without_a_valid_line_fails(app: typer.Typer, published: list[Envelope], tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["ingest", "file", str(write(tmp_path / "f", b"x", b"y"))]).exit_code == 1
    assert CliRunner().invoke(app, ["ingest", "file", str(write(tmp_path / "empty"))]).exit_code == 0
    assert published == []


def test_a_document_that_is_cut_is_published_up_to_the_cut_and_the_command_fails(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"[" + line("a1") + b",\n" + line("a2")[:-9])
    result = CliRunner().invoke(app, ["ingest", "file", str(path)])
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
    result = CliRunner().invoke(app, ["ingest", "file", str(pipe), "--observed-at", "2020-01-01"])
    assert result.exit_code == 0, result.output
    writer.join(10)
    assert [envelope.payload.id for envelope in published] == ["a1", "a2"]


def test_a_pipe_without_a_time_of_observation_is_refused_unread(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    pipe, _ = _pipe(tmp_path)
    result = CliRunner().invoke(app, ["ingest", "file", str(pipe)])
    assert isinstance(result.exception, Invalid)
    assert "can be read only once" in str(result.exception)
    assert "--observed-at" in str(result.exception)
    assert published == []
    pipe.read_bytes()  # ends the writer


def test_a_dash_is_standard_input(
    app: typer.Typer, published: list[Envelope], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, writer = _pipe(tmp_path)
    monkeypatch.setattr(ingest, "STANDARD_INPUT", pipe)
    result = CliRunner().invoke(app, ["ingest", "file", "-", "--observed-at", "2020-01-01"])
    assert result.exit_code == 0, result.output
    writer.join(10)
    assert len(published) == 2


def test_an_observation_time_without_an_offset_is_utc(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    path = str(write(tmp_path / "f", line("a1")))
    for text in ("2020-01-01T12:00", "2020-01-01T13:00:00+01:00"):
        assert CliRunner().invoke(app, ["ingest", "file", path, "--observed-at", text]).exit_code == 0
    assert {envelope.metadata.observed_at.isoformat() for envelope in published} == {"2020-01-01T12:00:00+00:00"}


@pytest.mark.parametrize(
    "name", [b"f\xfcr [b][blink=1][red].ndjson", b"[bold].ndjson", b"two\nlines.ndjson", "für猫.ndjson".encode()]
)
def test_a_file_may_have_any_name(app: typer.Typer, published: list[Envelope], tmp_path: Path, name: bytes) -> None:
    path = write(tmp_path / os.fsdecode(name), line("a1"))
    result = CliRunner().invoke(app, ["ingest", "file", str(path)])
    assert result.exit_code == 0, result.output
    assert "1 published, 0 rejected of 1 lines" in result.stdout
    assert encode(published[0])


def test_a_file_that_cannot_be_read_keeps_no_other_from_being_published(
    app: typer.Typer, published: list[Envelope], tmp_path: Path
) -> None:
    good, table, other = (tmp_path / name for name in ("good", "table", "other"))
    write(good, line("a1"))
    write(table, b"id,title,score", b"a2,x,1")
    write(other, line("a3"))
    result = CliRunner().invoke(app, ["ingest", "file", "--json", str(good), str(table), str(other)])
    assert result.exit_code == 1
    assert [envelope.payload.id for envelope in published] == ["a1", "a3"]
    summary = json.loads(result.stdout)
    assert [file["published"] for file in summary["files"]] == [1, 1]
    assert summary["errors"] == [f"{table} is a table such as CSV: write it as JSON first"]
    human = CliRunner().invoke(app, ["ingest", "file", str(good), str(table), str(other)])
    assert f"{table} is a table such as CSV" in " ".join(human.stderr.split())
    assert "other: 1 published" in human.stdout
