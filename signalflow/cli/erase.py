"""`signalflow erase`: forget what an author wrote, or a post, because somebody asks for it."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from signalflow.cli.options import JsonFlag, OfStack
from signalflow.cli.user import with_pool

YesFlag = Annotated[bool, typer.Option("--yes", help="Erase. Without it the command only says what would be erased.")]
IN_KAFKA = "Kafka loses its records by age, after seven days at most."


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Erase what an author wrote, because somebody asks for it.")
    group.command()(author)
    group.command()(post)
    app.add_typer(group, name="erase")


def author(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the account, without u/; case does not matter.")],
    yes: YesFlag = False,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Erase the name and all texts of an author, now and in posts that come later. Numbers stay.

    It cannot be undone. The audit log says that it was done, with a digest of the name.
    """
    from signalflow.domain.subreddits import account_name
    from signalflow.storage.erasure import erase_author, found_of_author

    name = account_name(name)
    found = with_pool(lambda pool, who: erase_author(pool, name, who=who) if yes else found_of_author(pool, name))
    if as_json:
        print(json.dumps(asdict(found) | {"erased": yes}))
    else:
        what = f"{found.posts} posts and {found.comments} comments"
        print(f"erased {what}. {IN_KAFKA}" if yes else f"{what} would be erased: repeat the command with --yes")


def post(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Reddit's id of the post, with or without t3_.")],
    yes: YesFlag = False,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Erase author and text of a post for good, also if Reddit still shows it. Numbers stay. It cannot be undone."""
    from signalflow.errors import Invalid
    from signalflow.storage.erasure import erase_post, is_stored

    id_ = id_.removeprefix("t3_")
    if not with_pool(lambda pool, who: erase_post(pool, id_, who=who) if yes else is_stored(pool, id_)):
        raise Invalid(f"there is no post {id_!r}", field="ID")
    if as_json:
        print(json.dumps({"id": id_, "erased": yes}))
    else:
        print(f"erased {id_}. {IN_KAFKA}" if yes else f"{id_} would be erased: repeat the command with --yes")
