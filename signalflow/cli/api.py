"""`signalflow api`: the HTTP API and its page."""

import asyncio
import socket
from typing import Annotated

import typer

OTHER_PLACE = "--host and --port, or SIGNALFLOW_API_HOST and SIGNALFLOW_API_PORT"


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
        """Serve the API and its pages until stopped.

        It also starts while the database is away, and answers 503 until then. A pooler that cannot work is refused.
        """
        from signalflow.logs import configure_logging, warn_of_settings_without_effect
        from signalflow.settings import get_settings
        from signalflow.storage.pool import refuse_unusable_pooler
        from web.app import create_api
        from web.server import ApiServer, drop_what_nobody_reads

        settings = get_settings()
        host = host or settings.api_host
        configure_logging(settings)
        warn_of_settings_without_effect(settings)
        bound = bound_socket(host, settings.api_port if port is None else port, OTHER_PLACE)
        drop_what_nobody_reads(bound)
        asyncio.run(refuse_unusable_pooler(settings))
        name, number = bound.getsockname()[:2]
        server = ApiServer(
            create_api(settings.model_copy(update={"api_host": host, "api_port": number})),
            # By default uvicorn trusts proxies on this machine: any program here could choose the address it comes
            # from.
            proxy_headers=bool(settings.api_trusted_proxies),
            forwarded_allow_ips=settings.api_trusted_proxies,
        )
        print(f"signalflow API: http://{f'[{name}]' if ':' in name else name}:{number}", flush=True)
        server.run(sockets=[bound])


def bound_socket(host: str, port: int, other_place: str) -> socket.socket:
    """A socket on that address. Raises SignalflowError when it is not ours or taken; `other_place`: what names one."""
    from signalflow.errors import SignalflowError

    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise SignalflowError(
            f"{host}:{port} cannot be used ({error.strerror}); choose another with {other_place}"
        ) from error
    return bound
