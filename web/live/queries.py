"""The `q` of a filter, prepared for many records."""

from collections.abc import Hashable
from typing import Protocol

from signalflow.domain.queries.asked import Asked, asked
from signalflow.domain.queries.evaluate import Document, condition_of
from signalflow.domain.search import Search


class HasDocument(Protocol):
    """A post or a comment on its way to clients."""

    @property
    def document(self) -> Document:
        """It, as queries see it."""


class PreparedQuery:
    """Queries with equal `key` are met by the same records. None is met by all."""

    def __init__(self, text: str | None) -> None:
        said = asked(text) if text else Asked(None, None)
        self._search = Search(said.words) if said.words else None
        self._meets = condition_of(said.rest) if said.rest else None
        self.key: tuple[Hashable, ...] = (self._search and self._search.key, said.rest)

    def is_met(self, record: HasDocument) -> bool:
        """Whether a record meets it. Nothing is made of the record when there is no query."""
        return (self._search is None or self._search.is_met(record.document.text, record.document.words)) and (
            self._meets is None or self._meets(record.document)
        )
