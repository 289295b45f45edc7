"""The fields of a query: which there are, and what their values may be."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TypeVar, cast

from signalflow.domain.queries.tree import (
    KINDS,
    NUMBERS,
    SIGNALS,
    Adult,
    Author,
    Comparison,
    Domain,
    HasSignal,
    Number,
    OfKind,
    Operator,
    Query,
    Subreddit,
    Words,
)
from signalflow.domain.search import words_of
from signalflow.domain.subreddits import NAME_PATTERN, account_name

_RANGES: Mapping[Number, tuple[float, float]] = {"sentiment": (-1, 1), "ratio": (0, 1)}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,6})?")
_AGE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([smhd])")
_ACCOUNT = re.compile(r"[a-z0-9_-]{1,64}")
_HOST = re.compile(r"(?!.{254})[\w-]{1,63}(?:\.[\w-]{1,63})+")
ChoiceT = TypeVar("ChoiceT", bound=str)


class WrongField(ValueError):
    """The name at the left is at fault, and not the value."""


def field_of(name: str, value: str) -> Query:
    """What `name:value` says; the name is in small letters. Raises WrongField, and ValueError for a wrong value."""
    if name in NUMBERS:
        raise WrongField(f"{name} is a number: compare it, as in {_EXAMPLES[name]}")
    if name not in FIELDS:
        raise _unknown(name)
    return FIELDS[name](value.lower())


def comparison_of(name: str, operator: str, value: str) -> Query:
    """What `name operator value` says; the name is in small letters. Raises as `field_of` does."""
    if name in FIELDS:
        raise WrongField(f"{name} is no number: write {name}:{value}")
    if name not in NUMBERS:
        raise _unknown(name)
    return Comparison(name, cast(Operator, operator), _age(value) if name == "age" else _number(name, value))


def _unknown(name: str) -> WrongField:
    alike = get_close_matches(name, [*FIELDS, *NUMBERS], n=1)
    meant = f" (did you mean {alike[0]}?)" if alike else ""
    return WrongField(
        f"there is no field {name}{meant}: the fields are {', '.join(f'{field}:' for field in FIELDS)}, and the "
        f"numbers {', '.join(NUMBERS)} with <, <=, >, >= or =; to look for the text, put it in quotation marks"
    )


def _number(name: Number, value: str) -> float:
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"{value} is no number: write digits, as in {_EXAMPLES[name]}")
    least, most = _RANGES.get(name, (float("-inf"), float("inf")))
    if not least <= float(value) <= most:
        raise ValueError(f"{name} is between {least} and {most}: write such a number, as in {_EXAMPLES[name]}")
    return float(value)


def _age(value: str) -> float:
    match = _AGE.fullmatch(value.lower())
    if not match:
        raise ValueError(f"{value} is no age: write a number and s, m, h or d, as in {_EXAMPLES['age']}")
    return float(match[1]) * _SECONDS[match[2]]


def _subreddit(value: str) -> Query:
    name = re.sub(r"\A/?r/", "", value)
    if not re.match(NAME_PATTERN, name):
        raise ValueError(f"{value} is no name of a subreddit: write it as in subreddit:python, one in each field")
    return Subreddit(name)


def _author(value: str) -> Query:
    name = account_name(value)
    if not _ACCOUNT.fullmatch(name):
        raise ValueError(f"{value} is no name of an account: write it as in author:someone, one in each field")
    return Author(name)


def _domain(value: str) -> Query:
    if not _HOST.fullmatch(value):
        raise ValueError(f"{value} is no name of a host: write it as in domain:example.com, without https:// and path")
    return Domain(value.removeprefix("www."))


def _flair(value: str) -> Query:
    words = words_of(value).split()
    if not words:
        raise ValueError(f"{value} has no word: write one, as in flair:news")
    return Words(tuple(words), in_flair=True)


def _chosen(value: str, field: str, choices: tuple[ChoiceT, ...]) -> ChoiceT:
    for choice in choices:
        if value == choice:
            return choice
    raise ValueError(f"there is no {field}:{value}: write {' or '.join(f'{field}:{choice}' for choice in choices)}")


def _is(value: str) -> Query:
    _chosen(value, "is", ("nsfw",))
    return Adult()


FIELDS: Mapping[str, Callable[[str], Query]] = {
    "subreddit": _subreddit,
    "author": _author,
    "domain": _domain,
    "flair": _flair,
    "kind": lambda value: OfKind(_chosen(value, "kind", KINDS)),
    "signal": lambda value: HasSignal(_chosen(value, "signal", SIGNALS)),
    "is": _is,
}
_EXAMPLES: Mapping[Number, str] = {
    "score": "score>100",
    "comments": "comments>=50",
    "sentiment": "sentiment<-0.3",
    "ratio": "ratio<0.6",
    "age": "age<2h",
}
