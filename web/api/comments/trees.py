"""Trees of comments from their rows. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any


def nested(top: Iterable[Mapping[str, Any]], replies: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The top comments, each with its replies, and these with theirs. A reply must follow the comment that it answers.

    A reply to none of the comments before it is left out.
    """
    trees = [dict(row, replies=[]) for row in top]
    by_name = {f"t1_{node['id']}": node for node in trees}
    for row in replies:
        parent = by_name.get(row["parent_id"])
        if parent is not None:
            node = dict(row, replies=[])
            parent["replies"].append(node)
            by_name[f"t1_{node['id']}"] = node
    return trees
