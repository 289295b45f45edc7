"""The JSON Schemas of the records in Kafka and of the messages to webhooks, for programs that read them.

A schema has a name and a version. A new optional field keeps the version: programs pass over fields that they do not
know, and workers of the version before still read the records during an upgrade. Any other change of a record's shape
needs a new version. The schemas of earlier versions stay in `docs/schemas/`, because their records stay in the topics.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from signalflow.alerts.messages import AlertMessage
from signalflow.errors import Invalid
from signalflow.events import CommentEnvelope, Enriched, Envelope
from signalflow.signal_events import Signal, SignalInput, TermInput

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class RecordSchema:
    """The shape of the records of one kind: JSON Schema 2020-12, in the file `<name>.v<version>.json`."""

    name: str
    version: int
    type: type[msgspec.Struct]

    @property
    def file_name(self) -> str:
        """The name of the file that holds it."""
        return f"{self.name}.v{self.version}.json"

    @property
    def text(self) -> str:
        """The file."""
        head = {"$schema": _DIALECT, "$id": f"urn:signalflow:{self.name}:{self.version}"}
        shape = _without_descriptions(ecma(msgspec.json.schema(self.type)))
        return json.dumps(head | shape, indent=2) + "\n"


# All but enriched records tell name and version themselves (`entity_type`, `schema_version`, and `type` of alerts).
RECORDS = (
    RecordSchema("reddit_submission", 1, Envelope),
    RecordSchema("reddit_comment", 1, CommentEnvelope),
    RecordSchema("signal_input", 1, SignalInput),
    RecordSchema("term_input", 1, TermInput),
    RecordSchema("signal", 1, Signal),
    RecordSchema("alert", 1, AlertMessage),
    RecordSchema("enriched_submission", 1, Enriched),
)


def export(directory: Path) -> list[Path]:
    """Write all schemas into a directory, which is made if it does not exist; returns the files.

    Raises Invalid, and writes nothing, if a file of the same version differs in more than optional fields.
    """
    files = {directory / record.file_name: record.text for record in RECORDS}
    for file, text in files.items():
        if file.exists() and not _only_adds(file.read_text(), text):
            raise Invalid(f"{file} holds another schema of this version; the changed record needs a new version")
    directory.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        file.write_text(text)
    return list(files)


def _only_adds(before: str, after: str) -> bool:
    """Whether a schema differs from the one before in nothing but new optional properties and what they refer to."""
    try:
        old, new = json.loads(before), json.loads(after)
        known = {name: _cut(new["$defs"][name], type_["properties"]) for name, type_ in old["$defs"].items()}
    except (ValueError, KeyError, TypeError):
        return False
    # A new property that is required would make the lists of required ones differ.
    return bool(old == new | {"$defs": known})


def _cut(type_: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return type_ | {"properties": {name: of for name, of in type_["properties"].items() if name in names}}


def ecma(schema: Any) -> Any:
    r"""The schema with its patterns in the dialect of JSON Schema: `^` and `$` for Python's `\A` and `\Z`."""
    if isinstance(schema, dict):
        return {
            name: value.replace(r"\A", "^").replace(r"\Z", "$")
            if name == "pattern" and isinstance(value, str)
            else ecma(value)
            for name, value in schema.items()
        }
    return [ecma(item) for item in schema] if isinstance(schema, list) else schema


def _without_descriptions(schema: Any) -> Any:
    """The shape alone: the words are of Python, and a better word is no new version."""
    if isinstance(schema, dict):
        return {
            name: _without_descriptions(value)
            for name, value in schema.items()
            if not (name == "description" and isinstance(value, str))
        }
    return [_without_descriptions(item) for item in schema] if isinstance(schema, list) else schema
