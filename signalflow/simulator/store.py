"""What a simulator keeps in its data directory: parameters, clock, and what was done to it by hand."""

from dataclasses import replace

from signalflow.simulator.config import Config
from signalflow.simulator.simclock import Anchor, SimClock, real_now
from signalflow.simulator.text import Texts
from signalflow.simulator.world import World


def open_world(config: Config) -> tuple[World, SimClock, Texts]:
    """The world of a configuration."""
    now = real_now()
    parameters = config.parameters if config.parameters.epoch else replace(config.parameters, epoch=now)
    clock = SimClock(Anchor(parameters.epoch, now, config.speed))
    return World(parameters), clock, Texts()
