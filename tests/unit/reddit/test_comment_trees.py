"""From the tree of a post, as Reddit sends it, to comments with their depth, and to what the tree leaves out."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from signalflow.reddit.answers import Answer
from signalflow.reddit.protocol import More, Unavailable
from signalflow.reddit.trees import tree_page_of
from tests.unit.reddit.test_comment_shapes import raw

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ANSWER = Answer(200, {"x-ratelimit-remaining": "9"}, NOW)


def listing(*children: Any) -> dict[str, Any]:
    return {"kind": "Listing", "data": {"after": None, "children": list(children)}}


def comment(id_: str, *replies: Any, **changes: Any) -> dict[str, Any]:
    return {"kind": "t1", "data": raw(id=id_, replies=listing(*replies) if replies else "", **changes)}


def more(*ids: Any, count: object = 0) -> dict[str, Any]:
    return {"kind": "more", "data": {"id": "_", "children": list(ids), "count": count}}


def test_the_recorded_tree_is_read_with_the_depth_of_its_comments(shared_data: Path) -> None:
    with gzip.open(shared_data / "recorded" / "comments.json.gz", "rt") as file:
        body = json.load(file)["body"]
    page = tree_page_of(json.loads(body) if isinstance(body, str) else body, ANSWER)
    assert (page.rejections, page.more, page.after) == ((), (), None)
    read = [
        (each.comment.id, each.comment.post_id, each.comment.parent_id, each.comment.depth) for each in page.comments
    ]
    assert read == [("cklfmye", "2gmzqe", "t3_2gmzqe", 0), ("cklhv0f", "2gmzqe", "t1_cklfmye", 1)]


def test_each_comment_comes_before_its_replies_and_has_its_depth() -> None:
    page = tree_page_of(
        [listing(), listing(comment("a", comment("b", comment("c")), comment("d")), comment("e"))], ANSWER
    )
    assert [(each.comment.id, each.comment.depth) for each in page.comments] == [
        ("a", 0), ("b", 1), ("c", 2), ("d", 1), ("e", 0),
    ]  # fmt: skip
    assert page.rate_limit.remaining == 9


def test_what_the_tree_leaves_out_is_named_wherever_it_stands() -> None:
    tree = listing(comment("a", more("b", "c", count=7), comment("d", more())), more("e", 5, "not an id", count="x"))
    assert tree_page_of([listing(), tree], ANSWER).more == (More(("b", "c"), 7), More((), 1), More(("e",), 1))


def test_a_comment_that_cannot_be_read_costs_none_of_its_replies() -> None:
    tree = listing(comment("a", comment("b"), created_utc="soon"), {"kind": "t5", "data": {"id": "x"}}, 7, comment("c"))
    page = tree_page_of([listing(), tree], ANSWER)
    assert [each.comment.id for each in page.comments] == ["b", "c"]
    assert [rejection.reason for rejection in page.rejections] == ["created_utc", "kind", "kind"]


def test_a_tree_of_any_depth_is_read() -> None:
    node = comment("z")
    for number in range(3_000):
        node = comment(f"c{number}", node)
    assert tree_page_of([listing(), listing(node)], ANSWER).comments[-1].comment.depth == 3_000


@pytest.mark.parametrize("payload", [{}, [], [listing()], [listing(), {"kind": "Listing"}], listing(comment("a"))])
def test_what_is_no_tree_is_no_answer(payload: object) -> None:
    with pytest.raises(Unavailable):
        tree_page_of(payload, ANSWER)
