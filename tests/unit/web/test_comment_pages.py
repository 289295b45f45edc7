"""Trees and cursors of comments, without a database."""

from datetime import UTC, datetime
from typing import Any

import pytest

from signalflow.storage.comment_list import CommentCursor, CommentOrder
from web.api.comments.cursor import decode_cursor, encode_cursor
from web.api.comments.trees import nested
from web.api.cursors import seal

MOMENT = datetime(2026, 1, 1, 12, 0, 0, 31, tzinfo=UTC)


def row(id_: str, parent: str | None = None) -> dict[str, Any]:
    return {"id": id_, "parent_id": parent}


def test_replies_stand_below_what_they_answer_in_the_order_that_is_given() -> None:
    trees = nested(
        [row("a"), row("b", "t3_x")],
        [row("b2", "t1_b"), row("b1", "t1_b"), row("a1", "t1_a"), row("b11", "t1_b1"), row("z", "t1_nowhere")],
    )
    assert [(node["id"], [reply["id"] for reply in node["replies"]]) for node in trees] == [
        ("a", ["a1"]),
        ("b", ["b2", "b1"]),
    ]
    assert [reply["id"] for reply in trees[1]["replies"][1]["replies"]] == ["b11"]


@pytest.mark.parametrize(("order", "key"), [("best", -7), ("best", -(2**31)), ("new", MOMENT), ("old", MOMENT)])
def test_a_cursor_comes_back_as_it_was(order: CommentOrder, key: int | datetime) -> None:
    cursor = CommentCursor(key, "c1", 99)
    assert decode_cursor(encode_cursor(cursor, order, "w"), order, "w") == cursor


@pytest.mark.parametrize(
    ("text", "order"),
    [
        (encode_cursor(CommentCursor(1, "c1", 0), "best", "other"), "best"),
        (encode_cursor(CommentCursor(1, "c1", 0), "best", "w"), "new"),
        (seal(b'[2147483648,"c1",0]', "comments best w"), "best"),
        (seal(b'[1000000000000000000000,"c1",0]', "comments new w"), "new"),
        (seal(b'["x","c1",0]', "comments new w"), "new"),
        (seal(b'[1,"c1"]', "comments new w"), "new"),
        ("", "new"),
        ("abc", "best"),
    ],
)
def test_any_other_text_is_no_cursor(text: str, order: CommentOrder) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        decode_cursor(text, order, "w")
