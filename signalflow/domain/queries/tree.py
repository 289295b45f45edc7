"""What a query says, as a tree. Trees of the same meaning in the same order are equal, and can be keys."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Kind = Literal["post", "comment"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Signal = Literal["viral", "unusual_here", "burst"]
SIGNALS: tuple[Signal, ...] = get_args(Signal)
Number = Literal["score", "comments", "sentiment", "ratio", "age"]
NUMBERS: tuple[Number, ...] = get_args(Number)
Operator = Literal["<=", ">=", "<", ">", "="]


@dataclass(frozen=True, slots=True)
class Words:
    """These words stand side by side in the text, or in the flair. They are folded.

    Each must begin a word of the text, and one that is shorter than SHORTEST_BEGINNING must be one. `is_beginning`: the
    last one must only begin a word, however short it is.
    """

    words: tuple[str, ...]
    is_beginning: bool = False
    in_flair: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """The title or the body has this piece of text, which has no word, such as "???"."""

    text: str


@dataclass(frozen=True, slots=True)
class Subreddit:
    """It is of this subreddit. The name is in small letters."""

    name: str


@dataclass(frozen=True, slots=True)
class Author:
    """This account wrote it. The name is in small letters."""

    name: str


@dataclass(frozen=True, slots=True)
class Domain:
    """It links to this host or to one below it. The name is in small letters."""

    name: str


@dataclass(frozen=True, slots=True)
class OfKind:
    """It is a post, or a comment."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class HasSignal:
    """It has this signal now."""

    signal: Signal


@dataclass(frozen=True, slots=True)
class Adult:
    """Reddit says that it is for adults. Where it does not tell, neither this nor its opposite is met."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A number compares so with a value. An age is in seconds. An unknown number compares with nothing."""

    number: Number
    operator: Operator
    value: float


@dataclass(frozen=True, slots=True)
class Not:
    """The part is not met."""

    part: "Query"


@dataclass(frozen=True, slots=True)
class And:
    """All of these parts are met."""

    parts: tuple["Query", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of these parts is met."""

    parts: tuple["Query", ...]


Query: TypeAlias = (
    Words | Piece | Subreddit | Author | Domain | OfKind | HasSignal | Adult | Comparison | Not | And | Or
)
