"""Tables such as CSV: each row is read as a line of JSON would be, and a bad one harms no other."""

import codecs
import csv
import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import UNSET

from signalflow.events import Post
from signalflow.reddit.file_values import MAX_LINE_BYTES
from signalflow.reddit.files import Tally, records_in
from tests.unit.reddit.test_files import OBSERVED, comment, line, write

POSTS = [json.loads(line(id_, selftext=text)) for id_, text in (("a1", 'one, "two"\nthree'), ("a2", "x"), ("a3", ""))]


def table(rows: list[dict[str, object]], delimiter: str = ",", ending: str = "\r\n") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator=ending)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def found(path: Path) -> tuple[list[str], Tally]:
    tally = Tally()
    return [each.id if isinstance(each, Post) else each.comment.id for each in records_in(path, OBSERVED, tally)], tally


@pytest.mark.parametrize(
    "packed",
    [
        table(POSTS).encode(),
        table(POSTS, ending="\n").encode(),
        table(POSTS, delimiter=";").encode(),
        table(POSTS, delimiter="\t").encode(),
        table(POSTS, delimiter="|").encode(),
        codecs.BOM_UTF8 + table(POSTS).encode(),
        table(POSTS).encode("utf-16"),
        gzip.compress(table(POSTS).encode()),
        ("," + table(POSTS).replace("\r\n", "\r\n7,").removesuffix("7,")).encode(),
        table(POSTS).replace("\r\n", "\r\n\r\n").encode(),
    ],
    ids=["windows", "unix", "semicolons", "tabs", "bars", "BOM", "UTF-16", "gzip", "numbered", "empty lines"],
)
def test_each_row_is_a_post(tmp_path: Path, packed: bytes) -> None:
    path = write(tmp_path / "f", packed)
    posts = [each for each in records_in(path, OBSERVED, Tally()) if isinstance(each, Post)]
    assert [post.id for post in posts] == ["a1", "a2", "a3"]
    assert posts[0].created_utc == datetime(2013, 1, 1, 0, 3, 2, tzinfo=UTC)
    assert (posts[0].score, posts[0].over_18, posts[0].is_self) == (1, False, True)
    assert posts[0].body is not UNSET
    assert str(posts[0].body).split() == ["one,", '"two"', "three"]


def test_an_empty_cell_is_a_missing_value(tmp_path: Path) -> None:
    rows = [POSTS[0] | {"score": "", "upvote_ratio": "", "author": "", "selftext": ""}, POSTS[1] | {"over_18": ""}]
    posts = list(records_in(write(tmp_path / "f", table(rows).encode()), OBSERVED, tally := Tally()))
    assert isinstance(posts[0], Post)
    assert (posts[0].score, posts[0].author, posts[0].body) == (None, None, UNSET)
    assert [(reason.line, reason.field) for reason in tally.reasons] == [(3, "over_18")]


def test_a_table_may_hold_posts_and_comments(tmp_path: Path) -> None:
    columns = dict.fromkeys([*json.loads(comment()), *POSTS[0]], "")
    rows = [columns | POSTS[0], columns | json.loads(comment("c1")) | {"score": -2}]
    post, found_comment = records_in(write(tmp_path / "f", table(rows).encode()), OBSERVED, Tally())
    assert isinstance(post, Post)
    assert not isinstance(found_comment, Post)
    assert (found_comment.comment.id, found_comment.comment.score, found_comment.comment.post_id) == ("c1", -2, "a1")


def test_a_bad_row_harms_no_other_and_is_named_by_the_line_it_begins_in(tmp_path: Path) -> None:
    lines = table([POSTS[0], POSTS[1], POSTS[2]], ending="\n").splitlines()
    # The header, a post over two lines, and two of one line.
    header, first, second, third = lines[0], "\n".join(lines[1:3]), lines[3], lines[4]
    bad = ["a9,too,few", second + ",too,many", '"' + "x" * 200_000 + '"', '"' + "x," * MAX_LINE_BYTES + '"']
    names, tally = found(write(tmp_path / "f", "\n".join([header, first, *bad, second, third]).encode()))
    assert names == ["a1", "a2", "a3"]
    assert [reason.line for reason in tally.reasons] == [4, 5, 6, 7]
    assert [reason.reason.partition(":")[0] for reason in tally.reasons] == [
        "3 cells, where the table has 9 columns",
        "11 cells, where the table has 9 columns",
        "not a row of the table",
        "not a row of the table",
    ]
    assert tally.read_to_end


def test_a_line_that_is_too_long_rejects_its_row_alone(tmp_path: Path) -> None:
    header, first, second = table(POSTS[1:], ending="\n").splitlines()
    long = ",".join(["x" * 1000] * 2_000)
    names, tally = found(write(tmp_path / "f", "\n".join([header, first, long, second]).encode()))
    assert names == ["a2", "a3"]
    assert [(reason.line, reason.reason) for reason in tally.reasons] == [
        (3, f"a line longer than {MAX_LINE_BYTES} bytes")
    ]


def test_bytes_that_are_no_utf_8_cost_a_letter_not_the_row(tmp_path: Path) -> None:
    rows = table([POSTS[0] | {"title": "Br\u00fccke"}]).encode("latin-1")
    (post,) = records_in(write(tmp_path / "f", rows), OBSERVED, Tally())
    assert isinstance(post, Post)
    assert post.title == "Br\ufffdcke"


@pytest.mark.parametrize("first", ["hello, title of something", "id", "1,2,3", '{"id": 1, "title": 2}', ""])
def test_what_names_no_two_columns_is_no_table(tmp_path: Path, first: str) -> None:
    names, tally = found(write(tmp_path / "f", first.encode(), line("a1")))
    assert names == ["a1"]
    assert tally.rejected == (1 if first else 0)
