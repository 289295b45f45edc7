"""Words of the simulated subreddits, by theme."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Theme:
    """`titles` are patterns whose {names} are replaced from `words`, else from the common words."""

    self_share: float
    chat: float
    titles: tuple[str, ...]
    words: dict[str, tuple[str, ...]]


THEMES: dict[str, Theme] = {
    "general": Theme(0.4, 0.1, ("A {thing} for {thing}",), {"thing": ("bread", "butter", "tea")}),
}


def theme_of(name: str) -> str:
    """The theme of a subreddit's name."""
    return "general"
