"""`signalflow mcp`: what is stored, for assistants that speak the Model Context Protocol."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.cli.installation import api_address, installation_settings
from signalflow.cli.options import OfStack

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from signalflow.assistants.server import Reader

# The API computes statistics of a month within this time.
TIMEOUT_SECONDS = 30.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(mcp)


def mcp(
    url: Annotated[
        str | None, typer.Option(help="Address of the API to read from. Default: that of this installation.")
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", help="Serve HTTP at /mcp. Each request brings an API key as its bearer token.")
    ] = False,
    host: Annotated[str, typer.Option(help="With --http: address to bind to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http: port; 0 takes a free one.")] = 8765,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="With --http: a name, with its port if it has one, under which assistants reach it."),
    ] = None,
    _: OfStack = None,
) -> None:
    """Let assistants search posts and comments, see what takes off, and ask how complete it is. They can only read.

    An assistant on this machine starts the command and talks with it over standard input and output. It reads with the
    API key in SIGNALFLOW_API_KEY, which `signalflow key create USER` makes.
    """
    from signalflow.errors import SignalflowError

    try:
        import mcp as _sdk  # noqa: F401
    except ModuleNotFoundError:
        raise SignalflowError("assistants need the extra `mcp`: pip install 'signalflow[mcp]'") from None
    settings = installation_settings()
    key = settings.api_key.get_secret_value()
    if not http and not key:
        raise typer.BadParameter(
            "is not set; `signalflow key create USER` makes a key", param_hint="SIGNALFLOW_API_KEY"
        )
    address = (url or api_address(settings)).rstrip("/")
    if http:
        _serve(address, host, port, allowed_host or [])
    else:
        print(f"signalflow mcp: reading from {address}", file=sys.stderr)
        asyncio.run(_talk(address, key))


def _server(address: str, key: str | None) -> "MCPServer[Reader]":
    import httpx

    from signalflow.assistants.api import Api
    from signalflow.assistants.server import create_server
    from signalflow.proxies import proxy_with_password

    client = httpx.AsyncClient(
        base_url=address, timeout=TIMEOUT_SECONDS, proxy=proxy_with_password(address), trust_env=False
    )
    return create_server(Api(client), key)


async def _talk(address: str, key: str) -> None:
    await _server(address, key).run_stdio_async()


def _serve(address: str, host: str, port: int, allowed_hosts: list[str]) -> None:
    import uvicorn

    from signalflow.assistants.http import PATH, http_app
    from signalflow.cli.api import bound_socket

    bound = bound_socket(host, port, "--host and --port")
    # Whoever reads the address below can connect at once.
    bound.listen()
    name, number = bound.getsockname()[:2]
    print(f"signalflow mcp: http://{f'[{name}]' if ':' in name else name}:{number}{PATH}, from {address}", flush=True)
    server = uvicorn.Server(uvicorn.Config(http_app(_server(address, None), name, allowed_hosts), log_level="warning"))
    server.run(sockets=[bound])
