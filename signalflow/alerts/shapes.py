"""The kinds of bodies that web targets take."""

from enum import StrEnum


class Shape(StrEnum):
    """What a web target understands."""

    JSON = "json"
    SLACK = "slack"
    DISCORD = "discord"
