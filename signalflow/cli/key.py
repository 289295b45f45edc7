"""`signalflow key`: API keys, with which programs sign in."""

import json
from dataclasses import asdict
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.cli.options import JsonFlag, OfStack
from signalflow.cli.tables import print_whole, whole_table
from signalflow.cli.user import with_pool

if TYPE_CHECKING:
    from signalflow.domain.words import KeyScope
    from signalflow.storage.api_keys import ApiKey


class Scope(StrEnum):
    """The values of KeyScope as an enumeration, since Typer accepts no list of literals."""

    READ = "read"
    DLQ = "dlq"
    CONFIG = "config"
    ADMIN = "admin"


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="API keys, with which programs sign in.")
    group.command()(create)
    group.command(name="list")(list_all)
    group.command()(revoke)
    app.add_typer(group, name="key")


def create(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user whose role the key has, within its scopes.")],
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
    scope: Annotated[
        list[Scope],
        typer.Option(
            help="read: all that only reads; dlq: dead letters; config: watched subreddits, alerts; admin: audit log."
        ),
    ] = [Scope.READ],  # noqa: B006 (Typer copies it)
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days until it expires.")] = 365,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a key and print it. It is shown only now, and stored as a hash."""
    from signalflow.clock import utcnow
    from signalflow.storage.accounts import checked_user_name
    from signalflow.storage.api_keys import add_key, new_key

    name, key, now = checked_user_name(user), new_key(), utcnow()
    expires_at = now + timedelta(days=days)
    scopes: list[KeyScope] = sorted({one.value for one in scope})
    with_pool(
        lambda pool, who: add_key(
            pool, key, user=name, label=label[:200], scopes=scopes, expires_at=expires_at, now=now, who=who
        )
    )
    if as_json:
        print(json.dumps({"key": key, "user": name, "scopes": scopes, "expires_at": expires_at.isoformat()}))
    else:
        print(key)


def list_all(
    user: Annotated[str | None, typer.Argument(metavar="[USER]", help="Only the keys of this user.")] = None,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the prefix, scopes and last use of keys. The keys themselves are not stored."""
    from signalflow.storage.accounts import checked_user_name
    from signalflow.storage.api_keys import list_keys

    name = None if user is None else checked_user_name(user)
    keys = with_pool(lambda pool, _: list_keys(pool, name))
    if as_json:
        print(json.dumps([asdict(key) for key in keys], default=str))
    else:
        _table(keys)


def revoke(
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="The key's prefix, as `signalflow key list` shows it.")
    ],
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Revoke a key; it stops working within 5 s."""
    from signalflow.clock import utcnow
    from signalflow.storage.api_keys import revoke_key

    with_pool(lambda pool, who: revoke_key(pool, prefix, now=utcnow(), who=who))
    print(json.dumps({"prefix": prefix, "revoked": True}) if as_json else f"{prefix} is revoked")


def _table(keys: "list[ApiKey]") -> None:
    table = whole_table("prefix", "user", "label", "scopes", "expires", "last used", "")
    for key in keys:
        expires = f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never"
        used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
        state = "revoked" if key.revoked_at else ""
        table.add_row(key.prefix, key.user, key.label, ", ".join(key.scopes), expires, used, state)
    print_whole(table)
