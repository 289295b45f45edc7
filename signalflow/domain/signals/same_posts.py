"""Posts that are the same thing posted again: near-duplicates and crossposts."""

from collections.abc import Iterable

from signalflow.domain.signals.clusters import keys_of


def same_as(posts: Iterable[tuple[str, str, str | None]]) -> dict[str, str | None]:
    """For each post the first one with an equal title or link; None for the first of a group.

    `posts` are id, title and link, the oldest post first.
    """
    first_with: dict[int, str] = {}
    firsts: dict[str, str | None] = {}
    for id_, title, url in posts:
        keys = keys_of(title, url).values()
        first = next((first_with[key] for key in keys if key in first_with), None)
        firsts[id_] = first
        for key in keys:
            first_with.setdefault(key, first or id_)
    return firsts
