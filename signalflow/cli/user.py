"""`signalflow user`: who may sign in."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from signalflow.cli.options import JsonFlag, OfStack
from signalflow.cli.tables import print_whole, whole_table
from signalflow.domain.words import Role

if TYPE_CHECKING:
    from signalflow.settings import Settings
    from signalflow.storage.accounts import User
    from signalflow.storage.pool import Pool

T = TypeVar("T")
LINK_LIFETIME = timedelta(minutes=15)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user; case does not matter.")]
RoleHelp = (
    "reader reads; operator also replays dead letters and changes watched subreddits and alerts; admin also sees the "
    "audit log."
)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Choose who may sign in.")
    for command in (add, passwd, role, disable, enable, link):
        group.command()(command)
    group.command(name="list")(list_all)
    app.add_typer(group, name="user")


def add(
    name: Name,
    role: Annotated[Role, typer.Option(help=RoleHelp)] = "reader",
    without_password: Annotated[
        bool, typer.Option("--without-password", help="Ask for no password: the user signs in by link or API key.")
    ] = False,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Add a user. The password is asked for, or read from standard input: `... | signalflow user add NAME`."""
    from signalflow.clock import utcnow
    from signalflow.storage.accounts import add_user

    name = _checked(name)
    password_hash = None if without_password else _hashed(_new_password())
    with_pool(lambda pool, who: add_user(pool, name, role, password_hash, now=utcnow(), who=who))
    _say(as_json, {"name": name, "role": role}, f"{name} may sign in as {role}")


def list_all(_: OfStack = None, as_json: JsonFlag = False) -> None:
    """Show all users, also disabled ones."""
    from signalflow.storage.accounts import list_users

    users = with_pool(lambda pool, _: list_users(pool))
    if as_json:
        print(json.dumps([asdict(user) for user in users], default=str))
    else:
        _table(users)


def passwd(name: Name, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Change a password; it is asked for, or read from standard input.

    The user is signed out everywhere within 5 s. API keys stay valid.
    """
    from signalflow.clock import utcnow
    from signalflow.storage.accounts import set_password

    name = _checked(name)
    password_hash = _hashed(_new_password())
    with_pool(lambda pool, who: set_password(pool, name, password_hash, now=utcnow(), who=who))
    _say(as_json, {"name": name}, f"{name} has a new password, and is signed out everywhere")


def role(
    name: Name, role: Annotated[Role, typer.Argument(help=RoleHelp)], _: OfStack = None, as_json: JsonFlag = False
) -> None:
    """Change a user's role, effective within 5 s."""
    from signalflow.storage.accounts import set_role

    name = _checked(name)
    with_pool(lambda pool, who: set_role(pool, name, role, who=who))
    _say(as_json, {"name": name, "role": role}, f"{name} is {role}")


def disable(name: Name, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Disable a user and the user's API keys, effective within 5 s."""
    from signalflow.clock import utcnow
    from signalflow.storage.accounts import disable_user

    name = _checked(name)
    with_pool(lambda pool, who: disable_user(pool, name, now=utcnow(), who=who))
    _say(as_json, {"name": name, "disabled": True}, f"{name} may not sign in any more")


def enable(name: Name, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Enable a disabled user again."""
    from signalflow.storage.accounts import enable_user

    name = _checked(name)
    with_pool(lambda pool, who: enable_user(pool, name, who=who))
    _say(as_json, {"name": name, "disabled": False}, f"{name} may sign in again")


def link(name: Name, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Print a link that signs a browser in as this user. It works once, within 15 minutes."""
    from signalflow.cli.installation import installation_settings

    url = asyncio.run(new_link(installation_settings(), _checked(name)))
    _say(as_json, {"name": name, "url": url, "seconds": int(LINK_LIFETIME.total_seconds())}, url)


async def new_link(settings: "Settings", name: str) -> str:
    """A link that signs a browser in as this user once, within 15 minutes. Raises Invalid for an unknown user."""
    import secrets

    from signalflow.cli.installation import acting_user, api_address
    from signalflow.clock import utcnow
    from signalflow.errors import Invalid
    from signalflow.storage.pool import create_pool
    from signalflow.storage.sessions import add_link

    token, now = secrets.token_urlsafe(32), utcnow()
    async with await create_pool(settings, application_name="signalflow-user") as pool:
        if not await add_link(pool, name, token, now, now + LINK_LIFETIME, who=acting_user()):
            raise Invalid(f"there is no user {name!r} who may sign in", field="name")
    return f"{api_address(settings)}/sign-in/link?token={token}"


def with_pool(work: "Callable[[Pool, str], Awaitable[T]]") -> T:
    """Run `work` with a pool of database connections and the user's name for the audit log."""
    from signalflow.cli.installation import acting_user, installation_settings
    from signalflow.storage.pool import create_pool

    async def run() -> T:
        async with await create_pool(installation_settings(), application_name="signalflow-user") as pool:
            return await work(pool, acting_user())

    return asyncio.run(run())


def _checked(name: str) -> str:
    from signalflow.storage.accounts import checked_user_name

    return checked_user_name(name)


def _new_password() -> str:
    """The password that is typed twice on a terminal, else the first line of standard input.

    Never an argument: every account of a machine can list the arguments of processes.
    """
    if sys.stdin.isatty():
        password: str = typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    return password


def _hashed(password: str) -> str:
    from pwdlib import PasswordHash

    from signalflow.errors import Invalid
    from web.auth.passwords import unfit

    why = unfit(password)
    if why:
        raise Invalid(f"the password {why}", field="password")
    return PasswordHash.recommended().hash(password)


def _table(users: "list[User]") -> None:
    table = whole_table("name", "role", "password", "since", "")
    for user in users:
        state = f"disabled {user.disabled_at:%Y-%m-%d}" if user.disabled_at else ""
        table.add_row(
            user.name, user.role, "yes" if user.has_password else "none", f"{user.created_at:%Y-%m-%d}", state
        )
    print_whole(table)


def _say(as_json: bool, value: dict[str, Any], text: str) -> None:
    print(json.dumps(value) if as_json else text)
