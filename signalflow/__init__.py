"""signalflow: real-time Reddit intelligence as one Faust stream-processing application."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`faust -A signalflow` finds `app` here; importing the package alone builds nothing."""
    if name == "app":
        from signalflow.garbage import collect_rarely

        collect_rarely()
        from signalflow.cli.failures import explained

        with explained():
            from signalflow.application import create_app

            app = create_app()
        globals()["app"] = app
        return app
    raise AttributeError(name)
