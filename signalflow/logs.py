"""Log lines: events with fields, one line per thing that happened; never a secret, never a post's text."""

import logging
import os
import sys
from contextlib import suppress

import structlog

from signalflow.settings import Settings, unknown_variables, unused_variables

# Faust's start-up spinner leaves the root logger at level 10. Every library then builds log records that nobody sees,
# which costs 20 % of a busy worker.
LIBRARY_LOGGERS = (
    "",
    "aiokafka",
    "faust",
    "mode",
    "mode.timers",
    "asyncio",
    "aiohttp.access",
    "asyncprawcore",
    "httpx",
)


class PatientLogger(structlog.PrintLogger):
    """Prints lines, and leaves out those that cannot be written: a full disk must not stop the work that they tell of.

    The handlers of the standard library do the same.
    """

    def msg(self, message: str) -> None:
        """Print one line if that is possible."""
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure_logging(settings: Settings) -> None:
    """Set up structlog on standard error. Call once a process."""
    level = logging.getLevelNamesMapping()[settings.log_level]
    renderer = (
        structlog.processors.JSONRenderer()
        if settings.log_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: PatientLogger(sys.stderr),
        cache_logger_on_first_use=True,
    )


def warn_of_settings_without_effect(settings: Settings) -> None:
    """Name each variable of the environment that looks like a setting and is none, and each that is not used."""
    for name, meant in unknown_variables(os.environ).items():
        structlog.get_logger().warning("unknown_setting", name=name, **({"did_you_mean": meant} if meant else {}))
    for name, reason in unused_variables(os.environ, settings).items():
        structlog.get_logger().warning("unused_setting", name=name, reason=reason)


def quiet_libraries(level: int = logging.WARNING) -> None:
    """Give library loggers a level of their own.

    Call it after the worker's start, whose spinner changes the root logger.
    """
    for name in LIBRARY_LOGGERS:
        logging.getLogger(name).setLevel(level)
