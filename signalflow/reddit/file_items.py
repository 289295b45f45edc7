"""Finds the items in a JSON value of a file: in lists, in saved answers of APIs, in data frames, in other wrappers."""

import json
from collections.abc import Iterable, Iterator, Mapping

Item = Mapping[str, object]

# Where answers of Reddit, of archives, of Elasticsearch and of many scripts have their posts. Other wrappers are known
# by what they hold.
_WRAPPERS = ("data", "children", "_source", "hits", "posts", "submissions", "results", "items")
_WRAPPING_KINDS = ("t1", "t3", "Listing")
# A page of a post lies in a list. Beside replies, nothing with posts or comments is nested more deeply than this.
_DEEPEST = 6


def items_of(value: object) -> Iterator[object]:
    """What a JSON value holds: the items of lists, listings, answers of APIs and data frames; else the value itself.

    The replies to a comment are items too.
    """
    waiting = [value]
    while waiting:
        for item in _items_of(waiting.pop(), 0):
            yield item
            replies = item.get("replies") if isinstance(item, dict) else None
            if replies and isinstance(replies, dict | list):
                waiting.append(replies)


def _items_of(value: object, depth: int) -> Iterator[object]:
    inner = _inner(value) if depth < _DEEPEST else None
    if inner is None:
        yield value
    elif isinstance(inner, list):
        for item in inner:
            yield from _items_of(item, depth + 1)
    else:
        yield from _items_of(inner, depth + 1)


def _inner(value: object) -> object | None:
    """What a wrapper holds; None when the value is none."""
    if isinstance(value, str):
        return _written(value)
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return None
    if (rows := _rows(value)) is not None:
        return rows
    if "title" in value or "body" in value or value.get("kind", "t3") not in _WRAPPING_KINDS:
        return None
    for name in _WRAPPERS:
        if isinstance(value.get(name), dict | list):
            inner: object = value[name]
            return inner
    return None if "created_utc" in value else _records_within(value)


def _written(text: str) -> object | None:
    """The value of a text that is JSON itself, as programs write it that pack twice; None when it is not."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _records_within(value: Item) -> list[object] | None:
    """The members with posts or comments in them, whatever they are called; None when there are none."""
    members = (_written(member) if isinstance(member, str) else member for member in value.values())
    return [member for member in members if _holds_records(member, 0)] or None


def _holds_records(value: object, depth: int) -> bool:
    if depth > _DEEPEST or not isinstance(value, dict | list):
        return False
    members: Iterable[object] = value
    if isinstance(value, dict):
        if "created_utc" in value:
            return True
        members = value.values()
    return any(_holds_records(member, depth + 1) for member in members)


def _rows(frame: Item) -> list[object] | None:
    """The rows of a data frame, in whichever layout pandas wrote it; None when it is none.

    The layouts: a dict or a list for each column, a dict for each row, or `columns` and `data`.
    """
    columns, rows, titles = frame.get("columns"), frame.get("data"), frame.get("title")
    if isinstance(columns, list) and isinstance(rows, list):
        names = [str(name) for name in columns]
        return [dict(zip(names, row, strict=False)) if isinstance(row, list) else row for row in rows]
    if titles and isinstance(titles, dict):
        by_label = {name: column for name, column in frame.items() if isinstance(column, dict)}
        return [{name: column.get(label) for name, column in by_label.items()} for label in titles]
    if titles and isinstance(titles, list):
        lists = {name: column for name, column in frame.items() if isinstance(column, list)}
        return [
            {name: column[number] for name, column in lists.items() if number < len(column)}
            for number in range(len(titles))
        ]
    if frame and all(isinstance(row, dict) and "title" in row for row in frame.values()):
        return list(frame.values())
    return None
