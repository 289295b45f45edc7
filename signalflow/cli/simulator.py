"""`signalflow simulator`: Reddit's API on this machine, with known ground truth."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.settings import LOOPBACK_HOSTS

if TYPE_CHECKING:
    from signalflow.simulator.config import Config


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulator")(simulator)


def simulator(
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback it needs a client id and a secret.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8090,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the posts are kept, so that they are the same after a restart.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal posts.")] = 1,
    activity: Annotated[float, typer.Option(help="Multiplies arrivals; 1 is about 17 posts a minute.")] = 1.0,
    growth: Annotated[
        float, typer.Option(help="Speeds up scores and planted stories; at 12 posts visibly take off.")
    ] = 1.0,
    opening: Annotated[
        bool, typer.Option("--opening", help="A few planted stories are under way at the first start.")
    ] = False,
    speed: Annotated[float, typer.Option(help="Simulated seconds per real second.")] = 1.0,
    fuzz: Annotated[float, typer.Option(help="Multiplies the random error of scores; 0 shows true scores.")] = 1.0,
    corpus: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="NDJSON file (or .gz) of posts; use their texts.")
    ] = None,
) -> None:
    """Run a simulated Reddit: OAuth, listings, /api/info, comments, rate limits; /__ctl, /__log and /__truth for tests.

    Clients authenticate with the client id `simulator` and the secret `simulator`. Atom feeds (/r/a+b/new/.rss) need
    neither; an address gets one a minute. If the data directory holds posts
    already, it also decides seed, activity, growth, opening, fuzz and corpus.

    Beyond loopback, SIGNALFLOW_REDDIT_CLIENT_ID and SIGNALFLOW_REDDIT_CLIENT_SECRET are its one client, and other
    machines get neither feeds nor what is for tests.
    """
    from signalflow.errors import Invalid
    from signalflow.logs import configure_logging
    from signalflow.settings import get_settings
    from signalflow.simulator.config import DEFAULT_CLIENTS, Config, Parameters

    settings = get_settings()
    configure_logging(settings)
    clients = DEFAULT_CLIENTS
    if host not in LOOPBACK_HOSTS:
        if not settings.reddit_client_id:
            raise typer.BadParameter(
                "beyond loopback the simulator needs SIGNALFLOW_REDDIT_CLIENT_ID and SIGNALFLOW_REDDIT_CLIENT_SECRET, "
                "with which its client authenticates",
                param_hint="--host",
            )
        clients = {settings.reddit_client_id: settings.reddit_client_secret.get_secret_value()}
    try:
        parameters = Parameters(
            seed=seed,
            activity=activity,
            growth=growth,
            opening=opening,
            fuzz=fuzz,
            corpus=str(corpus.resolve()) if corpus else "",
        )
        config = Config(parameters=parameters, host=host, data_dir=data_dir, speed=speed, clients=dict(clients))
    except Invalid as error:
        raise typer.BadParameter(str(error), param_hint=f"--{error.field}") from error
    asyncio.run(_serve(config, port))


async def _serve(config: "Config", port: int) -> None:
    """Run until SIGINT or SIGTERM."""
    import signal

    from signalflow.errors import Fatal
    from signalflow.simulator.server import start

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        running = await start(config, port)
    except OSError as error:
        # asyncio puts a sentence of its own in the place of the system's reason.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Fatal(f"{config.host}:{port} cannot be used ({reason}); choose another --port") from error
    try:
        await stop.wait()
    finally:
        await running.close()
