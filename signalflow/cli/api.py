"""`signalflow api`: the HTTP API and its page."""

import socket
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def api(
        host: Annotated[
            str | None, typer.Option(help="Address to bind to. Default: SIGNALFLOW_API_HOST, which is loopback.")
        ] = None,
        port: Annotated[
            int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one. Default: SIGNALFLOW_API_PORT.")
        ] = None,
    ) -> None:
        """Serve the API and its page until stopped. It starts while the database is away and answers 503 until it is back."""
        from signalflow.logs import configure_logging
        from signalflow.settings import get_settings
        from web.api.app import create_api
        from web.api.server import ApiServer, drop_what_nobody_reads

        settings = get_settings()
        host = host or settings.api_host
        configure_logging(settings)
        bound = _bound(host, settings.api_port if port is None else port)
        drop_what_nobody_reads(bound)
        server = ApiServer(
            create_api(settings),
            # uvicorn believes proxies on this machine unless told; whoever else runs here could then choose their address.
            proxy_headers=bool(settings.api_trusted_proxies),
            forwarded_allow_ips=settings.api_trusted_proxies,
        )
        address = bound.getsockname()
        print(f"signalflow API: http://{address[0]}:{address[1]}", flush=True)
        server.run(sockets=[bound])


def _bound(host: str, port: int) -> socket.socket:
    """A socket on that address. Raises SignalflowError, with what to do, when the port is taken."""
    from signalflow.errors import SignalflowError

    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise SignalflowError(
            f"{host}:{port} cannot be used ({error.strerror}); choose another with --port or SIGNALFLOW_API_PORT"
        ) from error
    return bound
