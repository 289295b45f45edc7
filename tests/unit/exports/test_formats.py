"""What formats write is read again by readers of their own: Python's csv, orjson and pyarrow."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from signalflow.errors import Invalid
from signalflow.exports import formats
from signalflow.exports.formats import FormatName, format_of
from signalflow.exports.tables import ExportColumn

COLUMNS = (
    ExportColumn("id", "text"),
    ExportColumn("title", "text"),
    ExportColumn("keywords", "texts"),
    ExportColumn("score", "integer"),
    ExportColumn("ratio", "number"),
    ExportColumn("adult", "flag"),
    ExportColumn("created_utc", "time"),
)
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_900, UTC)
ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "title": 'A "title", in\ntwo lines — 🚀',
        "keywords": ["big, news", "moon"],
        "score": -5,
        "ratio": 0.1 + 0.2,
        "adult": False,
        "created_utc": MOMENT,
        "left_out": object(),
    },
    {"id": "b", "title": None, "keywords": [], "score": None, "ratio": None, "adult": None, "created_utc": None},
]


def written(name: FormatName, *parts: list[dict[str, Any]]) -> bytes:
    writer = format_of(name, COLUMNS)
    return b"".join([writer.begin(), *(writer.rows(part) for part in parts), writer.end()])


def read_parquet(data: bytes) -> list[dict[str, Any]]:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows: list[dict[str, Any]] = parquet.read_table(io.BytesIO(data)).to_pylist()
    return rows


def test_csv_has_a_header_and_one_line_for_each_row() -> None:
    lines = list(csv.reader(io.StringIO(written("csv", ROWS[:1], ROWS[1:]).decode(), newline="")))
    assert lines == [
        ["id", "title", "keywords", "score", "ratio", "adult", "created_utc"],
        [
            *("a", 'A "title", in\ntwo lines — 🚀', '["big, news","moon"]', "-5", "0.30000000000000004", "false"),
            "2026-01-02T03:04:05.678900Z",
        ],
        ["b", "", "[]", "", "", "", ""],
    ]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_of_a_csv_is_a_formula_and_numbers_stay_numbers(begin: str) -> None:
    row = dict(ROWS[0], title=f"{begin}HYPERLINK(1)", score=-1)
    header, cells = csv.reader(io.StringIO(written("csv", [row]).decode(), newline=""))
    read = dict(zip(header, cells, strict=True))
    assert (read["title"], read["score"]) == (f"'{begin}HYPERLINK(1)", "-1")


def test_ndjson_has_an_object_with_every_column_on_each_line() -> None:
    lines = written("ndjson", ROWS[:1], ROWS[1:]).splitlines()
    assert [orjson.loads(line) for line in lines] == [
        {
            **{key: value for key, value in ROWS[0].items() if key != "left_out"},
            "created_utc": "2026-01-02T03:04:05.678900Z",
        },
        ROWS[1],
    ]


def test_parquet_has_the_same_values_in_types_of_their_own() -> None:
    expected = [{key: value for key, value in row.items() if key != "left_out"} for row in ROWS]
    assert read_parquet(written("parquet", ROWS[:1], ROWS[1:])) == expected
    assert read_parquet(written("parquet")) == []


def test_parquet_gives_its_row_groups_as_soon_as_they_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("signalflow.exports.parquet.GROUP_ROWS", 3)
    writer = format_of("parquet", COLUMNS)
    parts = [writer.begin(), writer.rows(ROWS), writer.rows(ROWS), writer.rows(ROWS[:1]), writer.end()]
    assert [bool(part) for part in parts] == [True, False, True, False, True]
    file = parquet.ParquetFile(io.BytesIO(b"".join(parts)))
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 1]


def test_without_pyarrow_parquet_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "signalflow.exports.parquet", None)
    with pytest.raises(Invalid, match=r"pyarrow.*\[parquet\]") as raised:
        format_of("parquet", COLUMNS)
    assert raised.value.field == "format"


def test_every_format_has_a_media_type() -> None:
    assert set(formats.MEDIA_TYPES) == {"csv", "ndjson", "parquet"} >= set(formats.CONTINUABLE)
