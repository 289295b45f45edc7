"""The CSV file of watched subreddits: the defaults are complete, and errors name line and field of a mistake."""

from collections import Counter
from pathlib import Path

import pytest

from signalflow.domain.subreddits import USUAL_INTERVALS, WatchedSubreddit
from signalflow.errors import Invalid
from signalflow.reddit.subreddits import checked_name, read_subreddits

HEADER = "name,interval_seconds,priority\n"


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def test_the_defaults_are_the_115_of_three_priorities() -> None:
    rows = read_subreddits()
    assert Counter(row.priority for row in rows) == {"fast": 26, "medium": 45, "slow": 44}
    assert {(row.priority, row.interval_seconds) for row in rows} == set(USUAL_INTERVALS.items())


def test_columns_may_stand_in_any_order_and_the_file_may_come_from_a_spreadsheet(tmp_path: Path) -> None:
    path = write(
        tmp_path / "f.csv", "\ufeffpriority,name,interval_seconds\r\nfast, python ,60\r\n\r\nslow,r/u_some-user,600\r\n"
    )
    assert read_subreddits(path) == [
        WatchedSubreddit("python", 60, "fast"),
        WatchedSubreddit("u_some-user", 600, "slow"),
    ]


def test_a_file_may_say_which_are_paused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", "name,interval_seconds,priority,paused\npython,60,fast,true\ngo,60,fast,\n")
    assert [row.paused for row in read_subreddits(path)] == [True, False]


def test_a_file_may_say_whose_comments_are_followed(tmp_path: Path) -> None:
    text = "name,comments,interval_seconds,priority\npython,TRUE,60,fast\ngo,false,60,fast\nrust,,60,fast\n"
    path = write(tmp_path / "f.csv", text)
    assert [row.comments for row in read_subreddits(path)] == [True, False, False]


def test_a_file_may_say_which_listings_are_read(tmp_path: Path) -> None:
    text = "name,interval_seconds,priority,post_sort\npython,60,fast,top HOT\ngo,60,fast,\nrust,60,fast,new top:all\n"
    assert [row.post_sorts for row in read_subreddits(write(tmp_path / "f.csv", text))] == [
        ("new", "hot", "top:day"), ("new",), ("new", "top:all"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("name,interval_seconds,priority,post_sort\npython,60,fast,best\n", 2, "post_sort"),
        ("", 1, "header"),
        ("name,interval\npython,60\n", 1, "header"),
        (HEADER, 1, "name"),
        (HEADER + "python,60,fast\nno name,60,fast\n", 3, "name"),
        (HEADER + "python,60,fast\n,60,fast\n", 3, "name"),
        (HEADER + "python,sixty,fast\n", 2, "interval_seconds"),
        (HEADER + "python,4,fast\n", 2, "interval_seconds"),
        (HEADER + "python,86401,fast\n", 2, "interval_seconds"),
        (HEADER + "python,60.5,fast\n", 2, "interval_seconds"),
        (HEADER + "python,-60,fast\n", 2, "interval_seconds"),
        (HEADER + "python,60,quick\n", 2, "priority"),
        ("name,interval_seconds,priority,paused\npython,60,fast,perhaps\n", 2, "paused"),
        ("name,interval_seconds,priority,comments\npython,60,fast,all\n", 2, "comments"),
        (HEADER + "python,60\n", 2, "line"),
        (HEADER + "python,60,fast,extra\n", 2, "line"),
        (HEADER + 'python,60,"fast\n', 2, "line"),
        (HEADER + "python,60,fast\ngo,60,fast\nPython,600,slow\n", 4, "name"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_field(tmp_path: Path, text: str, line: int, field: str) -> None:
    path = write(tmp_path / "mine.csv", text)
    with pytest.raises(Invalid) as refused:
        read_subreddits(path)
    assert refused.value.field == field
    assert f"{path}, line {line}" in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", write(tmp_path / "latin1.csv", HEADER + "\udce9,60,fast\n")):
        with pytest.raises(Invalid, match=str(path)):
            read_subreddits(path)


@pytest.mark.parametrize(
    "text",
    [
        "python",
        "r/python",
        "/r/python",
        " python ",
        "/r/python/",
        "https://www.reddit.com/r/python/",
        "reddit.com/r/python",
    ],
)
def test_a_name_is_understood_as_people_write_it(text: str) -> None:
    assert checked_name(text) == "python"


@pytest.mark.parametrize("text", ["all", "r/Popular", "https://evil.example/r/python"])
def test_listings_and_foreign_addresses_are_refused_as_names(text: str) -> None:
    with pytest.raises(Invalid):
        checked_name(text)


@pytest.mark.parametrize("text", ["", "r/", "x", "a b", "a+b", "x" * 22, "u_" + "x" * 31, "é", "a\n", "../x"])
def test_what_cannot_be_a_name_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        checked_name(text if text != "a\n" else "a\nb")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_that_another_encoding_wrote_is_refused_with_the_remedy(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "spreadsheet.csv"
    path.write_bytes("name,interval_seconds,priority\ncafé,60,fast\n".encode(encoding))
    with pytest.raises(Invalid, match=r"spreadsheet\.csv is not UTF-8 \(byte \d+\): save it as UTF-8"):
        read_subreddits(path)
