"""The body of an alert for each kind of web target."""

from signalflow.alerts.chats import discord_body, slack_body
from signalflow.alerts.messages import Alert, json_body
from signalflow.alerts.shapes import Shape

_MAKERS = {Shape.JSON: json_body, Shape.SLACK: slack_body, Shape.DISCORD: discord_body}


def body_of(alert: Alert, shape: Shape) -> bytes:
    """The body, as JSON. It is the same whenever it is made."""
    return _MAKERS[shape](alert)
