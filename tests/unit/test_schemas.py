"""The JSON Schemas for programs that read the topics."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from typer.testing import CliRunner

from signalflow import schemas
from signalflow.alerts.messages import AlertMessage
from signalflow.cli.main import _register, app
from signalflow.errors import Invalid
from signalflow.events import Comment, CommentEnvelope, Enriched, Source, encode
from signalflow.schemas import RECORDS, RecordSchema, export
from signalflow.signal_detection import input_of, signal_of
from signalflow.signal_events import TermInput
from tests.integration.workers import observation
from tests.unit.alerts.examples import alert
from tests.unit.test_signal_detection import change
from tests.unit.web.live.records import enriched

AT = datetime(2026, 1, 31, tzinfo=UTC)
_POST = observation("abc", AT, created_at=AT)
_COMMENT = CommentEnvelope(
    entity_type="reddit_comment",
    source="test",
    mode="new",
    emitted_at=AT,
    payload=Comment(id="c1", post_id="abc", author=None, body="text", created_utc=AT, score=None),
    metadata=_POST.metadata,
)
_INPUT = input_of(enriched("abc"), is_discovery=True, appended_us=0)
_MENTION = TermInput(post_id="abc", subreddit="python", created_utc=AT, observed_at=AT, emitted_at=AT)
_SIGNAL = signal_of(change(), _INPUT, Source(topic="inputs", partition=0, offset=7))
_ALERT = AlertMessage(timestamp=AT, data=alert())
EXAMPLES = dict(zip(RECORDS, (_POST, _COMMENT, _INPUT, _MENTION, _SIGNAL, _ALERT, enriched("abc")), strict=True))
DIRECTORY = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.file_name)
def test_the_published_schemas_are_those_of_the_records(record: RecordSchema) -> None:
    file = DIRECTORY / record.file_name
    hint = "run: signalflow schema export --to docs/schemas"
    assert file.exists(), hint
    assert file.read_text() == record.text, hint


def test_the_version_of_a_record_is_the_one_that_it_tells() -> None:
    for record, value in EXAMPLES.items():
        if record.type is not Enriched:
            told = msgspec.json.decode(encode(value))
            name = told["type"] if record.type is AlertMessage else told["entity_type"]
            assert (record.name, record.version) == (name, told["schema_version"])


def test_records_fit_their_schemas_and_damaged_ones_do_not() -> None:
    for record, value in EXAMPLES.items():
        fits = jsonschema_rs.validator_for(json.loads(record.text)).is_valid
        content: dict[str, Any] = json.loads(encode(value))
        time = "timestamp" if record.type is AlertMessage else "emitted_at"
        assert fits(content)
        assert not fits(content | {time: 7})
        assert not fits({name: field for name, field in content.items() if name != time})
        assert fits(content | {"of_a_later_version": 1}), "a program goes on when a field is added"


def without(name: str, *path: str) -> Callable[[str], str]:
    """Removes a member of an object in a schema."""

    def change(text: str) -> str:
        schema = json.loads(text)
        place = schema
        for key in path:
            place = place[key]
        if isinstance(place, list):
            place.remove(name)
        else:
            del place[name]
        return json.dumps(schema)

    return change


FIELDS = ("$defs", "Enriched", "properties")


@pytest.mark.parametrize(
    "earlier",
    [without("trend_velocity", *FIELDS), without("topic_cluster", "$defs", "TextFeatures", "properties")],
    ids=["of the record", "of a part"],
)
def test_a_new_optional_field_keeps_the_version(tmp_path: Path, earlier: Callable[[str], str]) -> None:
    file = export(tmp_path)[-1]
    whole = file.read_text()
    file.write_text(earlier(whole))
    export(tmp_path)
    assert file.read_text() == whole


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "{}",
        lambda _: "[]",
        lambda _: "no json",
        lambda text: text.replace('"title": {', '"headline": {', 1),
        lambda text: text.replace('"type": "boolean"', '"type": "string"', 1),
        lambda text: text.replace("enriched_submission:1", "another:1"),
        without("title", "$defs", "Enriched", "required"),
    ],
    ids=["empty", "list", "no JSON", "a field fewer", "another type", "another id", "a required field"],
)
def test_an_export_replaces_no_schema_of_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str]
) -> None:
    directory = tmp_path / "new" / "schemas"
    assert [file.name for file in export(directory)] == [record.file_name for record in RECORDS]
    export(directory)
    first, second = (directory / RECORDS[place].file_name for place in (0, -1))
    first.unlink()
    second.write_text(damaged := change(second.read_text()))
    with pytest.raises(Invalid, match="needs a new version"):
        export(directory)
    assert (first.exists(), second.read_text()) == (False, damaged), "nothing is written"
    monkeypatch.setattr(schemas, "RECORDS", (*RECORDS, RecordSchema("enriched_submission", 2, Enriched)))
    second.unlink()
    assert [file.name for file in export(directory)][-1] == "enriched_submission.v2.json"


def test_the_command_shows_the_files(tmp_path: Path) -> None:
    _register()
    result = CliRunner().invoke(app, ["schema", "export", "--to", str(tmp_path), "--json"])
    assert (result.exit_code, sorted(json.loads(result.output))) == (0, sorted(map(str, tmp_path.iterdir())))
