"""A simulator's data directory: parameters and clock in state.json, changes made by hand in changes.ndjson."""

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import structlog

from signalflow.errors import Fatal, Invalid
from signalflow.simulator.changes import DECODER, ENCODER, Change
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.simclock import Anchor, SimClock, real_now
from signalflow.simulator.world import World

STATE_VERSION = 1
STATE, CHANGES = "state.json", "changes.ndjson"
log = structlog.get_logger()


class Stored(msgspec.Struct, frozen=True):
    """The contents of state.json."""

    version: int
    parameters: Parameters
    clock: Anchor


class Store:
    """Keeps a world in a directory; None keeps nothing."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def open(self, config: Config) -> tuple[World, SimClock]:
        """The world kept here, or a new one that begins now. Kept parameters win over `config.parameters`.

        Simulated time goes on while the simulator is stopped. Raises Fatal when the directory cannot be used.
        """
        now = real_now()
        stored = self._read()
        if stored is None:
            parameters = config.parameters if config.parameters.epoch else replace(config.parameters, epoch=now)
            clock = SimClock(Anchor(parameters.epoch, now, config.speed))
        else:
            parameters = stored.parameters
            wanted = replace(config.parameters, epoch=parameters.epoch)
            if wanted != parameters:
                log.warning("kept parameters are used, not the given ones", kept=str(parameters), given=str(wanted))
            clock = SimClock(stored.clock)
            if clock.anchor.speed != config.speed:
                clock.set_speed(config.speed)
        world = World(parameters)
        for change in self._changes():
            world.apply(change)
        self.save(parameters, clock)
        return world, clock

    def save(self, parameters: Parameters, clock: SimClock) -> None:
        """Write parameters and clock in one step. Raises Fatal when that fails."""
        if self._directory is None:
            return
        content = msgspec.json.encode(Stored(STATE_VERSION, parameters, clock.anchor))
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            draft = self._directory / f"{STATE}.new"
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._directory / STATE)
        except OSError as error:
            raise Fatal(f"the simulator cannot keep its state in {self._directory}: {error.strerror}") from error

    def append(self, change: Change) -> None:
        """Write down one more change. Raises Fatal when that fails."""
        if self._directory is None:
            return
        try:
            with (self._directory / CHANGES).open("ab") as file:
                file.write(ENCODER.encode(change) + b"\n")
        except OSError as error:
            raise Fatal(f"the simulator cannot keep its state in {self._directory}: {error.strerror}") from error

    def _read(self) -> Stored | None:
        path = None if self._directory is None else self._directory / STATE
        if path is None or not path.exists():
            return None
        try:
            stored = msgspec.json.decode(path.read_bytes(), type=Stored)
        except (OSError, msgspec.DecodeError, Invalid) as error:
            raise Fatal(f"{path} cannot be read ({error}); remove the directory to start with a new world") from error
        if stored.version != STATE_VERSION:
            raise Fatal(
                f"{path} has version {stored.version}, not {STATE_VERSION};"
                " remove the directory to start with a new world"
            )
        return stored

    def _changes(self) -> list[Change]:
        path = None if self._directory is None else self._directory / CHANGES
        if path is None or not path.exists():
            return []
        try:
            content = path.read_bytes()
            # A line without its end was being written when the simulator was killed.
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                path.write_bytes(whole)
            return [DECODER.decode(line) for line in whole.splitlines()]
        except (OSError, msgspec.DecodeError) as error:
            raise Fatal(f"{path} cannot be read ({error}); remove the directory to start with a new world") from error
