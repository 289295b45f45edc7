"""`signalflow alert`: the commands of targets."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.cli.alert_access import TargetName, json_of, one_line, target_named, with_pool
from signalflow.cli.installation import acting_user, api_address, installation_settings
from signalflow.cli.options import JsonFlag, OfStack
from signalflow.cli.tables import print_whole, whole_table
from signalflow.domain.words import TargetShape

if TYPE_CHECKING:
    from signalflow.storage.alert_targets import AlertTarget, MadeTarget
    from signalflow.storage.pool import Pool


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    group.command()(targets)
    group.command(name="add-target")(add_target)
    group.command(name="remove-target")(remove_target)
    group.command()(enable)
    group.command()(rotate)


def targets(_: OfStack = None, as_json: JsonFlag = False) -> None:
    """Show where alerts go; of a URL scheme and host alone. Exit status 3 when the database could not be asked."""
    from signalflow.storage.alert_targets import list_targets

    found = with_pool(list_targets)
    if as_json:
        print(json_of(found))
        return
    from rich.markup import escape

    table = whole_table("id", "name", "shape", "place", "rules", "")
    for target in found:
        state = f"disabled: {target.disabled_because}" if target.disabled_at else ""
        names = (escape(text) for text in (one_line(target.name), target.shape, target.place or ""))
        table.add_row(str(target.id), *names, str(target.rules), escape(state))
    print_whole(table if found else "no targets")


def add_target(
    name: Annotated[str, typer.Argument(metavar="NAME", help="For people.")],
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="[ADDRESS]",
            help="https://..., or an address of e-mail; `-` reads it from standard input, because every account of a "
            "machine can list arguments. None for a feed.",
        ),
    ] = None,
    shape: Annotated[TargetShape, typer.Option(help="What the target understands.")] = "json",
    digest: Annotated[
        int, typer.Option(min=1, max=1440, metavar="MINUTES", help="An e-mail tells all alerts of so many minutes.")
    ] = 60,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a target. Its signing secret, or the link of the feed, is shown now and not again.

    Exit status: 1 there are too many targets, 2 the address cannot be one, 3 the database could not be asked.
    """
    from signalflow.errors import Invalid
    from signalflow.storage.alert_targets import add_target as make
    from signalflow.storage.alert_targets import checked_address

    given = sys.stdin.readline().strip() if address == "-" else address
    try:
        checked_address(shape, given)
    except Invalid as error:
        raise typer.BadParameter(str(error)) from error
    _say_made(as_json, with_pool(lambda pool: make(pool, name, shape, given, digest, by=acting_user())))


def remove_target(target: TargetName, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Remove a target with its history; rules stay. Exit status: 1 there is none, 3 the database could not be asked."""
    from signalflow.storage.alert_targets import remove_target as remove

    async def work(pool: "Pool") -> "AlertTarget":
        found = await target_named(pool, target)
        await remove(pool, found.id, by=acting_user())
        return found

    removed = with_pool(work)
    print(json_of({"removed": removed.id}) if as_json else f"removed {one_line(removed.name)}")


def enable(target: TargetName, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Send to a disabled target again. Exit status: 1 there is none, 3 the database could not be asked."""
    from signalflow.storage.alert_targets import TargetChange, change_target

    async def work(pool: "Pool") -> "AlertTarget":
        found = await target_named(pool, target)
        return await change_target(pool, found.id, TargetChange(enable=True), by=acting_user()) or found

    enabled = with_pool(work)
    print(json_of(enabled) if as_json else f"{one_line(enabled.name)} is enabled")


def rotate(target: TargetName, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Make a new signing secret, or a new link of a feed, and show it.

    The secret of before signs too for a day; the link of before leads nowhere at once. Exit status: 1 there is no such
    target, or it has no secret of ours; 3 the database could not be asked.
    """
    from signalflow.storage.alert_targets import MadeTarget, rotate_secret

    async def work(pool: "Pool") -> "MadeTarget":
        found = await target_named(pool, target)
        return await rotate_secret(pool, found.id, by=acting_user()) or MadeTarget(found)

    _say_made(as_json, with_pool(work))


def _say_made(as_json: bool, made: "MadeTarget") -> None:
    link = None if made.path is None else api_address(installation_settings()) + made.path
    if as_json:
        print(json_of({"target": made.target, "secret": made.secret, "link": link}))
        return
    print(f"target {made.target.id}")
    if made.secret:
        print(f"secret {made.secret}")
    if link:
        print(f"link   {link}")
