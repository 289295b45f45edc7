"""`signalflow tables`: what the workers keep in their tables."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from signalflow.cli.failures import FOUND, looking
from signalflow.cli.installation import installation_settings
from signalflow.cli.options import JsonFlag, OfStack

if TYPE_CHECKING:
    from signalflow.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="What the workers keep in their tables.")
    group.command()(show)
    group.callback()(_group)
    app.add_typer(group, name="tables")


def _group() -> None:
    """Keep `show` a command of its own, although it is the only one."""


def show(
    table: Annotated[Literal["post_state"], typer.Argument(help="The table.")],
    key: Annotated[str, typer.Argument(metavar="ID", help="A post's id, such as 1abc2d.")],
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the state that the workers keep of a post, from which they compute velocities.

    Exit status: 1 there is none: the post is unknown, or older than SIGNALFLOW_POST_STATE_HOURS; 3 no worker or no
    database answered.
    """
    settings = installation_settings()
    with looking():
        answer = asyncio.run(_state(settings, key))
    if answer is None:
        print(json.dumps(None) if as_json else f"{table} has no state of post {key}")
        raise typer.Exit(FOUND)
    state = json.loads(answer)
    if as_json:
        print(json.dumps(state))
        return
    print(f"post {state['id']}: created {state['created_utc']}, first seen {state['first_seen_at']}")
    for seen in state["observations"]:
        print(f"    {seen['observed_at']}  score {seen['score']}, {seen['num_comments']} comments")


async def _state(settings: "Settings", post_id: str) -> bytes | None:
    from signalflow.storage.pool import create_pool
    from web.worker_client import WorkerClient

    client = WorkerClient(settings.worker_token.get_secret_value())
    try:
        async with await create_pool(settings, application_name="signalflow-tables") as pool:
            return await client.post_state(pool, post_id)
    finally:
        await client.close()
