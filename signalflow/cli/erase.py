"""`signalflow erase`: forget what an author wrote, or a post, because somebody asks for it."""

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signalflow.cli.options import JsonFlag, OfStack
from signalflow.cli.user import with_pool
from signalflow.clock import steady

if TYPE_CHECKING:
    from signalflow.storage.erasure import Found
    from signalflow.storage.pool import Pool

YesFlag = Annotated[bool, typer.Option("--yes", help="Erase. Without it the command only says what would be erased.")]
WaitFlag = Annotated[
    int, typer.Option(min=0, max=3600, metavar="SECONDS", help="Wait so long until topics and open pages are told.")
]
# A worker that polls looks every five seconds, and its record must be stored.
USUAL_WAIT = 30
TOLD = "Topics and open pages are told. Older records go from Kafka by age, seven days from now at most."
NOT_TOLD = (
    "Topics and open pages are not told yet of {} posts and comments: the worker that polls does it as soon as it, "
    "Kafka and the sink work. Nothing needs to be repeated; GET /api/erasure/ tells how many wait."
)
LOOK_EVERY = 0.5


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Erase what an author wrote, because somebody asks for it.")
    group.command()(author)
    group.command()(post)
    app.add_typer(group, name="erase")


def author(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the account, without u/; case does not matter.")],
    yes: YesFlag = False,
    wait: WaitFlag = USUAL_WAIT,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Erase the name and all texts of an author, now and in posts that come later. Numbers stay.

    The database forgets them at once. Then the worker that polls publishes records without words, and pages that are
    open forget them as well; the command waits for that. It cannot be undone. The audit log says that it was done, with
    a digest of the name.
    """
    from signalflow.domain.subreddits import account_name
    from signalflow.storage.erasure import erase_author, found_of_author

    name = account_name(name)
    if not yes:
        found = with_pool(lambda pool, _: found_of_author(pool, name))
        _report(as_json, asdict(found), f"{_what(found)} would be erased", None)
        return

    async def erase(pool: "Pool", who: str) -> "tuple[Found, int]":
        return await erase_author(pool, name, who=who), await _untold(pool, wait)

    found, untold = with_pool(erase)
    _report(as_json, asdict(found), f"erased {_what(found)}", untold)


def post(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Reddit's id of the post, with or without t3_.")],
    yes: YesFlag = False,
    wait: WaitFlag = USUAL_WAIT,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Erase author and text of a post for good, also if Reddit still shows it. Numbers stay. It cannot be undone.

    As with an author, the command waits until topics and open pages are told.
    """
    from signalflow.errors import Invalid
    from signalflow.storage.erasure import erase_post, is_stored

    id_ = id_.removeprefix("t3_")

    async def erase(pool: "Pool", who: str) -> int | None:
        if not (await erase_post(pool, id_, who=who) if yes else await is_stored(pool, id_)):
            raise Invalid(f"there is no post {id_!r}", field="ID")
        return await _untold(pool, wait) if yes else None

    untold = with_pool(erase)
    _report(as_json, {"id": id_}, f"erased {id_}" if yes else f"{id_} would be erased", untold)


def _what(found: "Found") -> str:
    return f"{found.posts} posts and {found.comments} comments"


async def _untold(pool: "Pool", wait: float) -> int:
    """Of how many posts and comments topics and open pages are not told, once that is none or the time is over."""
    from signalflow.storage.erasure import untold

    until = steady() + wait
    while (left := await untold(pool)) and steady() < until:
        await asyncio.sleep(LOOK_EVERY)
    return left


def _report(as_json: bool, found: dict[str, Any], sentence: str, untold: int | None) -> None:
    """Say what was done; without `untold` it was only looked for."""
    if as_json:
        print(json.dumps(found | {"erased": untold is not None} | ({} if untold is None else {"untold": untold})))
    elif untold is None:
        print(f"{sentence}: repeat the command with --yes")
    else:
        print(f"{sentence}. {NOT_TOLD.format(untold) if untold else TOLD}")
