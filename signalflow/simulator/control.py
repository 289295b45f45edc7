"""The control interface."""

from typing import TYPE_CHECKING

from aiohttp import web

from signalflow.simulator.answers import Answer, not_found
from signalflow.simulator.text import Texts

if TYPE_CHECKING:
    from signalflow.simulator.server import Simulator


class Control:
    """Paths that begin with /__."""

    def __init__(self, simulator: "Simulator", texts: Texts) -> None:
        self._simulator = simulator
        self._texts = texts

    async def handle(self, path: str, request: web.Request) -> Answer:
        """Every request under /__."""
        return not_found()
