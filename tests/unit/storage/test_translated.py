"""Database errors become Retryable, Invalid or Fatal, by the class of the SQLSTATE."""

import asyncpg
import pytest

from signalflow.errors import Fatal, Invalid, Retryable
from signalflow.storage.pool import TookTooLong, translated


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("08006", Retryable),  # connection failure
        ("40P01", Retryable),  # deadlock
        ("40001", Retryable),  # serialization failure
        ("53100", Retryable),  # disk full
        ("53300", Retryable),  # too many connections
        ("57014", TookTooLong),  # statement timeout: a Retryable that says more
        ("57P01", Retryable),  # terminated
        ("57P03", Retryable),  # starting up
        ("25006", Retryable),  # read-only
        ("25P03", Retryable),  # left idle in a transaction
        ("55P03", Retryable),  # lock timeout
        ("22003", Invalid),  # out of range
        ("22021", Invalid),  # NUL
        ("23502", Invalid),  # not null
        ("23514", Invalid),  # check
        ("42P01", Fatal),  # undefined table
        ("42501", Fatal),  # no privilege
        ("28P01", Fatal),  # wrong password
        ("3D000", Fatal),  # no such database
        ("58030", Fatal),  # I/O error
        ("21000", Fatal),  # a row twice in one statement: our bug
        ("XX000", Fatal),  # internal error
    ],
)
def test_the_class_of_the_sqlstate_decides(sqlstate: str, kind: type) -> None:
    error = asyncpg.PostgresError.new({"C": sqlstate, "M": "said the server", "S": "ERROR"})
    result = translated(error)
    assert type(result) is kind
    assert sqlstate in str(result)
    assert "said the server" in str(result)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError("refused"), Retryable),
        (TimeoutError(), Retryable),
        (asyncpg.InterfaceError("connection is closed"), Retryable),
        (asyncpg.InterfaceError("pool is closing"), Retryable),
        (asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"), Retryable),
        (asyncpg.InterfaceError("the server expects 3 arguments for this query, 2 were passed"), Fatal),
        (KeyError("a bug"), Fatal),
    ],
)
def test_errors_without_a_sqlstate_are_translated_by_their_class(error: Exception, kind: type) -> None:
    assert type(translated(error)) is kind


def test_an_invalid_value_names_its_column() -> None:
    error = asyncpg.PostgresError.new({"C": "23502", "M": "null value", "S": "ERROR", "c": "title"})
    result = translated(error)
    assert isinstance(result, Invalid)
    assert result.field == "title"
