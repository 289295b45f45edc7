"""The simulated Reddit of a chaos run, as a process: `python -m tests.chaos.simulator PORT SEED ACTIVITY`."""

import asyncio
import signal
import sys

from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import start

# With this growth scores change within minutes.
GROWTH = 40.0


async def serve(port: int, seed: int, activity: float) -> None:
    """Listen until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    running = await start(Config(Parameters(seed=seed, activity=activity, growth=GROWTH)), port)
    await stop.wait()
    await running.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
