"""The formats of files: packed, encoded and laid out in any way, the same posts come out, and damage is named."""

import bz2
import codecs
import gzip
import io
import json
import lzma
import os
import pickle
import re
import struct
import tarfile
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from signalflow.errors import Invalid
from signalflow.reddit import file_bytes, file_values
from signalflow.reddit.files import Tally, records_in
from tests.unit.reddit.test_files import OBSERVED, line, write

zstd = file_bytes.zstd
WIDE = {zstd.CompressionParameter.window_log: 31, zstd.CompressionParameter.content_size_flag: 0}
LINES = b"\n".join([line("a1", title="Ünïcode 猫"), line("a2"), line("a3")])

RAW = LINES.decode("unicode_escape")


def found(path: Path) -> tuple[list[str], Tally]:
    tally = Tally()
    return [post.id for post in records_in(path, OBSERVED, tally)], tally


def ids(path: Path) -> list[str]:
    return found(path)[0]


@pytest.mark.parametrize(
    "packed",
    [
        LINES,
        codecs.BOM_UTF8 + LINES,
        LINES.decode().encode("utf-16"),
        LINES.decode().encode("utf-16-le"),
        LINES.decode().encode("utf-16-be"),
        LINES.decode().encode("utf-32"),
        RAW.encode("utf-32-le"),
        RAW.encode("utf-32-be"),
        gzip.compress(LINES),
        gzip.compress(LINES.decode().encode("utf-16")),
        gzip.compress(LINES[:500]) + gzip.compress(LINES[500:]),
        gzip.compress(gzip.compress(LINES)),
        gzip.compress(zstd.compress(LINES)),
        zstd.compress(gzip.compress(LINES.decode().encode("utf-16"))),
        bz2.compress(LINES),
        lzma.compress(LINES),
        lzma.compress(LINES, format=lzma.FORMAT_ALONE),
        zstd.compress(LINES),
        zstd.compress(LINES, options=WIDE),
        zstd.compress(LINES[:500]) + zstd.compress(LINES[500:]),
        struct.pack("<II", 0x184D2A50, 4) + b"skip" + zstd.compress(LINES),
        b"\0" * 200_000 + LINES.replace(b"\n", b"\n\0\0\0"),
        LINES.replace(b"\n", b"\r\n\r\n"),
        b"\x1e" + LINES.replace(b"\n", b"\n\x1e"),
        LINES.replace(b"\n", b",\n") + b",\n",
        LINES.replace(b"\n", b"\n,"),
        LINES.replace(b"\n", b""),
        LINES.replace(b"\n", b"", 1),
        LINES[::-1].replace(b"\n", b"", 1)[::-1],
        LINES.replace(b"\n", b"\n" + codecs.BOM_UTF8),
    ],
)
def test_the_first_bytes_tell_how_a_file_is_packed_and_encoded(tmp_path: Path, packed: bytes) -> None:
    path = write(tmp_path / "no-name-tells", packed)
    posts = list(records_in(path, OBSERVED, Tally()))
    assert [post.id for post in posts] == ["a1", "a2", "a3"]
    assert posts[0].title == "Ünïcode 猫"


POSTS = [json.loads(text) for text in LINES.split(b"\n")]
LISTING = {"kind": "Listing", "data": {"children": [{"kind": "t3", "data": post} for post in POSTS]}}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(POSTS),
        json.dumps(POSTS, indent=2),
        "\n\n  " + json.dumps(POSTS, indent=2),
        json.dumps(LISTING),
        json.dumps(LISTING, indent=1),
        json.dumps([LISTING, {"kind": "Listing", "data": {"children": []}}], indent=1),
        json.dumps({"data": POSTS}, indent=4),
        "\n".join(json.dumps({"kind": "t3", "data": post}) for post in POSTS),
        "\n".join(json.dumps(post, indent=1) for post in POSTS),
        "[" + ",\n".join(json.dumps(post) for post in POSTS) + ",\n]",
        json.dumps(POSTS)[:-1] + ']\n[{"kind": "Listing", "data": {"children": []}}]',
        json.dumps({"posts": POSTS, "next": None}),
        json.dumps({str(row): post for row, post in enumerate(POSTS)}),
        json.dumps({name: {str(row): post[name] for row, post in enumerate(POSTS)} for name in POSTS[0]}),
    ],
)
def test_arrays_listings_and_documents_over_many_lines_are_read(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "f", text.encode())
    names, tally = found(path)
    assert names == ["a1", "a2", "a3"]
    assert (tally.lines, tally.rejected, tally.read_to_end) == (3, 0, True)


def test_an_array_with_nan_is_read_and_a_bad_item_harms_no_other(tmp_path: Path) -> None:
    entries = [POSTS[0] | {"upvote_ratio": float("nan")}, POSTS[1] | {"score": "x"}, 7, POSTS[2]]
    names, tally = found(write(tmp_path / "f", json.dumps(entries, indent=1).encode()))
    assert names == ["a1", "a3"]
    # The bracket, a post of 11 lines and one of 10.
    assert [(reason.line, reason.field) for reason in tally.reasons] == [(13, "score"), (23, None)]


@pytest.mark.parametrize(
    ("text", "line_number", "reason"),
    [
        (json.dumps(POSTS, indent=1)[:-80], 22, "the file ends within this value"),
        (json.dumps(POSTS, indent=1).rstrip("] \n"), 31, "the file ends before its array does"),
        (json.dumps(POSTS) + ";", 1, "not JSON"),
        (json.dumps(POSTS)[:-1] + ", fals", 1, "the file ends within this value"),
        (json.dumps(POSTS).replace('"a3"', "nonsense"), 1, "nothing after it was read"),
        (json.dumps(POSTS, indent=1).replace('"a3"', "nonsense"), 22, "line 23\\); nothing after it was read"),
    ],
)
def test_a_broken_document_is_read_up_to_the_break_which_is_named(
    tmp_path: Path, text: str, line_number: int, reason: str
) -> None:
    names, tally = found(write(tmp_path / "f", text.encode()))
    assert names in (["a1", "a2"], ["a1", "a2", "a3"])
    assert (tally.rejected, tally.read_to_end) == (1, False)
    assert re.search(reason, tally.reasons[0].reason)
    assert tally.reasons[0].line == line_number


HUGE = b'{"x": ' + b"9" * 5_000 + b"}"


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (HUGE, b"\n" + LINES),
        (b"[" + line("a1") + b",\n", b"," + HUGE + b"," + b",".join(LINES.split(b"\n")[1:]) + b"]"),
    ],
)
def test_a_number_of_thousands_of_digits_ends_nothing(tmp_path: Path, first: bytes, rest: bytes) -> None:
    names, tally = found(write(tmp_path / "f", first + rest))
    assert names == ["a1", "a2", "a3"]
    assert tally.rejected == 1


@pytest.mark.parametrize("character", ["\t", "\x01", "\x1b"])
@pytest.mark.parametrize("layout", [b"%s\n%s", b"[%s,%s]"])
def test_a_raw_control_character_in_a_text_costs_no_post(tmp_path: Path, layout: bytes, character: str) -> None:
    raw = line("a1", title="one#two").replace(b"#", character.encode())
    path = write(tmp_path / "f", layout % (raw, line("a2")))
    posts = list(records_in(path, OBSERVED, Tally()))
    assert [(post.id, post.title) for post in posts] == [("a1", f"one{character}two"), ("a2", "t")]


def test_a_second_half_of_a_line_that_is_damaged_rejects_the_line_once(tmp_path: Path) -> None:
    names, tally = found(write(tmp_path / "f", line("a1") + b"{nonsense", line("a2")))
    assert names == ["a1", "a2"]
    assert [(reason.line, reason.reason) for reason in tally.reasons] == [(1, "not a JSON object")]


LONG = [line(f"b{number}", selftext="#").replace(b"#", "ä".encode() * 40_001) for number in range(20)]


@pytest.mark.parametrize(
    "text",
    [
        b"".join(LONG), b",".join(LONG), b"[" + b",".join(LONG) + b"]", b'{"posts":[' + b",".join(LONG) + b"]}",
        b"{" + b",".join(b'"%d":%s' % row for row in enumerate(LONG)) + b"}",
    ],
    ids=["glued", "commas", "array", "wrapper", "data frame"],
)  # fmt: skip
def test_a_document_in_one_line_may_be_longer_than_a_record(tmp_path: Path, text: bytes) -> None:
    assert len(text) > file_values.MAX_LINE_BYTES
    names, tally = found(write(tmp_path / "f", text))
    assert (len(names), tally.lines, tally.read_to_end) == (20, 20, True)


def test_a_line_of_text_before_its_json_is_rejected_once(tmp_path: Path) -> None:
    names, tally = found(write(tmp_path / "f", line("a1"), b"2024-01-01 12:00 " + line("a2"), b"1,2,3", b"7", LINES))
    assert names == ["a1", "a1", "a2", "a3"]
    assert [(reason.line, reason.reason) for reason in tally.reasons] == [
        (number, "not a JSON object") for number in (2, 3, 4)
    ]


def test_a_damaged_first_line_makes_no_document_of_lines(tmp_path: Path) -> None:
    for damaged in (b"{nonsense", line("a0")[:60], b'{"id": "a0"} {', b"\xff\xfe{"[2:] + b"\xff}"):
        assert ids(write(tmp_path / "f", damaged, LINES)) == ["a1", "a2", "a3"]


def _archive(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("posts.ndjson", LINES)
    else:
        with tarfile.open(fileobj=buffer, mode=kind) as tar:  # type: ignore[call-overload]
            entry = tarfile.TarInfo("posts.ndjson")
            entry.size = len(LINES)
            tar.addfile(entry, io.BytesIO(LINES))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (_archive("zip"), "a Zip archive"),
        (_archive("w"), "a tar archive"),
        (_archive("w:gz"), "a tar archive"),
        (b"PAR1" + b"\x15" * 100, "a Parquet file"),
        (b"SQLite format 3\0" + bytes(100), "an SQLite database"),
        (b"\n<!doctype html><html>", "HTML or XML"),
        ("<html><body>".encode("utf-16"), "HTML or XML"),
        (b"\x04\x22\x4d\x18" + bytes(50), "packed with LZ4"),
        (pickle.dumps(POSTS, protocol=5), "a pickle of Python"),
        (pickle.dumps(POSTS, protocol=3), "a pickle of Python"),
        (b"Obj\x01" + bytes(50), "an Avro file"),
        (b"ORC" + bytes(50), "an ORC file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(50), "an Excel file"),
        (b"%PDF-1.7\n", "a PDF file"),
        (b"\x93NUMPY\x01\0", "a NumPy file"),
        (b"RDX3\nX\n", "an R file"),
        (gzip.compress(b"X\n\0\0\0\x03", mtime=0), "an R file"),
        (b"12345678DUCK" + bytes(50), "a DuckDB database"),
        (b"\x2c\x01\0\0\x07_id\0" + bytes(50), "a dump of MongoDB (BSON)"),
        (b"\x1f\x9d\x90" + bytes(50), "packed with compress"),
        (b"LZIP\x01" + bytes(50), "packed with lzip"),
        (b"\xff\x06\0\0sNaPpY" + bytes(50), "packed with Snappy"),
        (b"callback([{}]);", "a script, not JSON"),
        (b"var posts = [{}]", "a script, not JSON"),
        (b")]}'\n[]", "a script, not JSON"),
        (b"{'id': 'a1', 'title': \"x\"}\n", "what Python prints"),
        (b"[{'id': 'a1'}]", "what Python prints"),
        (b"INSERT INTO posts VALUES", "a script of SQL"),
        (b"- id: a1\n  title: x\n", "a YAML file"),
        (b"FEA1" + bytes(50), "a Feather file"),
    ],
)
def test_a_format_that_is_not_read_is_named_in_one_sentence(tmp_path: Path, content: bytes, named: str) -> None:
    path = write(tmp_path / "f", content)
    with pytest.raises(Invalid, match=f"f is {re.escape(named)}.*: .* first|f is {named}: save the JSON instead"):
        ids(path)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (gzip.compress(LINES)[:-20], "damaged gzip file"),
        (bz2.compress(LINES)[:-20], "damaged bzip2 file"),
        (lzma.compress(LINES)[:-20], "damaged xz file"),
        (zstd.compress(LINES)[:-20], "damaged Zstandard file"),
        (zstd.compress(LINES)[:10] + b"????" + zstd.compress(LINES)[14:], "damaged Zstandard file"),
        (bz2.compress(LINES)[:30] + b"????" + bz2.compress(LINES)[34:], "damaged bzip2 file"),
        (LINES.decode().encode("utf-16")[:-1], "damaged UTF-16"),
    ],
)
def test_a_damaged_file_is_named_never_taken_for_a_short_one(tmp_path: Path, content: bytes, named: str) -> None:
    with pytest.raises(Invalid, match=named):
        ids(write(tmp_path / "f", content))


def test_bytes_of_another_encoding_reject_their_line_alone(tmp_path: Path) -> None:
    names, tally = found(write(tmp_path / "f", line("a1"), '{"title": "Brücke"}'.encode("latin-1"), line("a2")))
    assert names == ["a1", "a2"]
    assert [(reason.line, reason.reason) for reason in tally.reasons] == [(2, "not UTF-8")]


@pytest.mark.slow
@pytest.mark.parametrize("pack", [bytes, zstd.compress, gzip.compress])
def test_a_large_array_is_read_in_bounded_memory(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    post = line("a1", selftext="x" * 2000)
    path = tmp_path / "f"
    path.write_bytes(pack(b"[" + b",\n".join([post] * 4_000) + b"]"))
    tracemalloc.start()
    try:
        count = sum(1 for _ in records_in(path, OBSERVED, Tally()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 4_000
    assert peak < 3_000_000, "the file holds 9 MB of posts"


def test_an_endless_value_of_a_document_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_values, "MAX_VALUE_CHARACTERS", 1 << 18)
    names, tally = found(write(tmp_path / "f", b"[" + line("a1") + b',{"x":"' + b"y" * (1 << 21) + b'"}]'))
    assert names == ["a1"]
    assert not tally.read_to_end
    assert "longer than 262144 characters" in tally.reasons[0].reason


def test_a_pipe_is_read_in_one_pass(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def fill() -> None:
        with pipe.open("wb", buffering=0) as out:
            for start in range(0, len(LINES), 7):  # a pipe may give any number of bytes at a time
                out.write(LINES[start : start + 7])

    writer = threading.Thread(target=fill)
    writer.start()
    seen: list[int] = []
    assert [post.id for post in records_in(pipe, OBSERVED, Tally(), seen.append)] == ["a1", "a2", "a3"]
    writer.join()
    assert seen == [len(LINES)]
    assert not file_bytes.can_be_read_twice(pipe)


@pytest.mark.parametrize(
    ("name", "posts"),
    [
        ("01_created_utc_text.ndjson", 2), ("02_reddit_com.ndjson", 3), ("04_entities.ndjson", 2), ("06_nan.ndjson", 3),
        ("07_pandas.ndjson", 4), ("08_array_pretty.json", 2), ("10_wrapped.ndjson", 2), ("12_dump.zst", 20),
        ("13_plain_for_pipe.ndjson", 20), ("16_utf16.ndjson", 2), ("19_titles.ndjson", 11), ("20_crosspost.ndjson", 1),
    ],
)  # fmt: skip
def test_files_of_real_situations_are_read_without_a_rejection(shared_data: Path, name: str, posts: int) -> None:
    path = shared_data / "field" / name
    if not path.exists():
        pytest.skip(f"no {path}")
    tally = Tally()
    read = list(records_in(path, OBSERVED.replace(year=2026), tally))
    assert (len(read), tally.rejected, tally.reasons) == (posts, 0, [])


def test_escaped_and_plain_titles_of_a_file_become_the_same(shared_data: Path) -> None:
    path = shared_data / "field" / "04_entities.ndjson"
    if not path.exists():
        pytest.skip(f"no {path}")
    escaped, plain = records_in(path, OBSERVED.replace(year=2026), Tally())
    assert escaped.title == plain.title == "Salt & Vinegar <3 crisps: Bram's review"
    assert escaped.url == "https://example.org/?a=1&b=2"


def of_field(shared_data: Path, name: str) -> Path:
    path = shared_data / "field" / name
    if not path.exists():
        pytest.skip(f"no {path}")
    return path


@pytest.mark.parametrize(
    ("name", "field", "values"),
    [
        ("01_created_utc_text.ndjson", "created_utc", {"caz101": datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC)}),
        ("02_reddit_com.ndjson", "subreddit", {"caz201": "reddit.com", "caz202": "t:quietdays"}),
        ("02_reddit_com.ndjson", "subreddit", {"caz203": "harborcats"}),
        ("06_nan.ndjson", "upvote_ratio", {"caz601": None, "caz602": 0.9}),
        ("06_nan.ndjson", "author", {"caz601": "mira_lindqvist", "caz602": None}),
        ("07_pandas.ndjson", "score", {"caz703": 12}),
        ("07_pandas.ndjson", "num_comments", {"caz703": 3}),
        ("07_pandas.ndjson", "edited_at", {"caz701": None}),
    ],
)
def test_files_of_real_situations_give_the_right_values(
    shared_data: Path, name: str, field: str, values: dict[str, object]
) -> None:
    posts = records_in(of_field(shared_data, name), OBSERVED.replace(year=2026), Tally())
    assert {post.id: getattr(post, field) for post in posts if post.id in values} == values


def test_a_file_of_a_real_situation_is_read_through_a_pipe(shared_data: Path, tmp_path: Path) -> None:
    path, pipe = of_field(shared_data, "13_plain_for_pipe.ndjson"), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(path.read_bytes()))
    writer.start()
    tally = Tally()
    read = [post.id for post in records_in(pipe, OBSERVED.replace(year=2026), tally)]
    writer.join()
    assert (len(read), read[0], tally.rejected) == (20, "capz00", 0)
