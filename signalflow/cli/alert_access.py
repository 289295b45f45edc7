"""What the commands of alerts share: the database, and how rules and targets are named."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar
from uuid import UUID

import typer

from signalflow.cli.failures import looking
from signalflow.cli.installation import installation_settings
from signalflow.errors import Invalid

if TYPE_CHECKING:
    from signalflow.storage.alert_rules import AlertRule
    from signalflow.storage.alert_targets import AlertTarget
    from signalflow.storage.pool import Pool

PAGE = 1000

RuleName = Annotated[str, typer.Argument(metavar="RULE", help="Its id, the beginning of it, or its name.")]
TargetName = Annotated[str, typer.Argument(metavar="TARGET", help="Its id, the beginning of it, or its name.")]


class Named(Protocol):
    """What has an id and a name."""

    @property
    def id(self) -> UUID:
        """Unique."""

    @property
    def name(self) -> str:
        """Of people; several may have it."""


T = TypeVar("T")
NamedT = TypeVar("NamedT", bound=Named)


def with_pool(work: "Callable[[Pool], Awaitable[T]]") -> T:
    """Run `work` with a pool of database connections. What keeps it from looking ends the process with status 3."""
    from signalflow.storage.pool import create_pool

    async def run() -> T:
        async with await create_pool(installation_settings(), application_name="signalflow-alert") as pool:
            return await work(pool)

    with looking():
        return asyncio.run(run())


async def all_rules(pool: "Pool") -> "list[AlertRule]":
    """All rules, the newest first."""
    from signalflow.storage.alert_rules import rules_page

    rules = page = await rules_page(pool, before=None, limit=PAGE)
    while len(page) == PAGE:
        page = await rules_page(pool, before=page[-1].key, limit=PAGE)
        rules += page
    return rules


async def rule_named(pool: "Pool", text: str) -> "AlertRule":
    """The rule that a user means. Raises Invalid when it is none, or not only one."""
    return _one_of("rule", await all_rules(pool), text)


async def target_named(pool: "Pool", text: str) -> "AlertTarget":
    """The target that a user means. Raises Invalid when it is none, or not only one."""
    from signalflow.storage.alert_targets import list_targets

    return _one_of("target", await list_targets(pool), text)


def one_line(text: str) -> str:
    """A text as one line, without what moves a terminal's cursor."""
    from signalflow.alerts.messages import plain

    return plain(text)


def json_of(value: object) -> str:
    """A value as one line of JSON, with times in UTC."""
    import orjson

    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()


def _one_of(what: str, all_: Iterable[NamedT], text: str) -> NamedT:
    found = [one for one in all_ if one.name == text or str(one.id).startswith(text.lower())]
    if not found:
        raise Invalid(f"there is no {what} {text!r}: `signalflow alert {what}s` lists them")
    if len(found) > 1:
        raise Invalid(f"{len(found)} {what}s may be meant by {text!r}: give the id")
    return found[0]
