"""Files of snapshots: what is read, and what is refused."""

import gzip
from pathlib import Path

import pytest

from signalflow.errors import Invalid
from signalflow.evaluation.snapshots import Snapshot, read_snapshots

HEADER = "post,subreddit,created_utc,observed_utc,position,score,num_comments,upvote_ratio"
LINE = "7,pics,1000,4600,3,1200,56,0.93"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshots.csv"


def test_a_line_is_a_snapshot_whatever_the_order_of_columns(path: Path) -> None:
    names, values = HEADER.split(","), LINE.split(",")
    path.write_text("\n".join([",".join(reversed(names)), ",".join(reversed(values))]), encoding="utf-8")
    assert read_snapshots(path) == [Snapshot("7", "pics", 1000, 4600, 3, 1200, 56, 0.93)]


def test_a_packed_file_is_read_whatever_its_name(path: Path) -> None:
    path.write_bytes(gzip.compress(f"{HEADER}\n{LINE}\n".encode()))
    assert len(read_snapshots(path)) == 1


def test_an_empty_ratio_is_unknown(path: Path) -> None:
    path.write_text(f"{HEADER}\n{LINE.removesuffix('0.93')}\n", encoding="utf-8")
    assert read_snapshots(path)[0].ratio is None


@pytest.mark.parametrize(
    ("line", "says", "field"),
    [
        ("7,pics,1000,4600,3,many,56,0.93", "line 3: score must be a whole number, not 'many'", "score"),
        ("7,pics,1000,4600,3,1200,,0.93", "line 3: num_comments must be a whole number, not ''", "num_comments"),
        ("7,pics,1000,4600,0,1200,56,0.93", "line 3: position must be at least 1, not 0", "position"),
        ("7,pics,1000,4600,3,1200,-1,0.93", "line 3: num_comments must be at least 0, not -1", "num_comments"),
        ("7,pics,1000,4600,3,1200,56,93", "line 3: upvote_ratio must be between 0 and 1, not '93'", "upvote_ratio"),
        ("7,pics,1000,4600,3,1200,56,nan", "line 3: upvote_ratio must be between 0 and 1", "upvote_ratio"),
        ("7,,1000,4600,3,1200,56,0.93", "line 3: subreddit is empty", "subreddit"),
        ("7,pics,1000,999,3,1200,56,0.93", "line 3: observed_utc is before created_utc", "observed_utc"),
        ("7,pics,1000", "line 3: observed_utc is missing", "observed_utc"),
    ],
)
def test_a_wrong_line_is_named_with_its_field(path: Path, line: str, says: str, field: str) -> None:
    path.write_text(f"{HEADER}\n{LINE}\n{line}\n", encoding="utf-8")
    with pytest.raises(Invalid, match=says) as refused:
        read_snapshots(path)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "line 1: the columns post, subreddit"),
        (HEADER.replace(",score", "").encode(), "line 1: the columns score are missing"),
        (HEADER.encode(), "has no line after its header"),
        (f"{HEADER}\n\xff".encode("latin-1"), "utf-8"),
        (gzip.compress(f"{HEADER}\n{LINE}\n".encode())[:-9], "end-of-stream"),
    ],
)
def test_a_file_that_is_none_of_snapshots_says_why(path: Path, content: bytes, says: str) -> None:
    path.write_bytes(content)
    with pytest.raises(Invalid, match=says):
        read_snapshots(path)
