"""An alert as the body of an incoming webhook of Slack and of Discord, within their limits of length.

What strangers wrote is shown as it is: it makes no link, no format and no mention.
"""

import json
from collections.abc import Callable
from typing import Any

from signalflow.alerts.messages import Alert, facts, headline, number_text, plain

# Slack: a header has 150 characters, a text object 3,000. Discord: a title has 256, the name of a field 256, its value
# 1,024, a description 4,096, a message 6,000 and 25 fields. A message in a chat is shorter than it may be.
SLACK_HEADER = 150
DISCORD_TITLE = 256
TEXT = 1500
FIELDS, FIELD = 10, 100

_SLACK = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_DISCORD = {mark: f"\\{mark}" for mark in "\\`*_~|>#-+[]()<@"}


def slack_body(alert: Alert) -> bytes:
    """For an incoming webhook of Slack."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _slack_text(headline(alert), SLACK_HEADER)},
        {"type": "section", "text": _slack_text(alert.sentence, TEXT)},
        {"type": "context", "elements": [_slack_text(" · ".join(filter(None, (facts(alert), alert.rule))), TEXT)]},
    ]
    if alert.url is not None:
        link = f"<{_escaped(alert.url, len(alert.url) * 5, _slack)}|Open on Reddit>"
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": link}})
    # The text is what notifications show.
    text = _escaped(f"{headline(alert)}: {alert.sentence}", TEXT, _slack)
    return _json({"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False, "blocks": blocks})


def discord_body(alert: Alert) -> bytes:
    """For a webhook of Discord."""
    embed: dict[str, Any] = {
        "title": _escaped(headline(alert), DISCORD_TITLE, _discord),
        "description": _escaped(alert.sentence, TEXT, _discord),
        "timestamp": alert.matched_at.isoformat(),
        "fields": [
            {"name": _escaped(name, FIELD, _discord), "value": number_text(value), "inline": True}
            for name, value in list(alert.numbers.items())[:FIELDS]
        ],
        # Discord shows a footer without markup.
        "footer": {"text": _escaped(alert.rule, FIELD, str)},
    }
    if alert.url is not None:
        embed["url"] = alert.url
    return _json({"allowed_mentions": {"parse": []}, "embeds": [embed]})


def _slack_text(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _escaped(text, most, _slack), "emoji": False}


def _slack(character: str) -> str:
    return _SLACK.get(character, character)


def _discord(character: str) -> str:
    return _DISCORD.get(character, character)


def _escaped(text: str, most: int, escape: Callable[[str], str]) -> str:
    """The plain text, escaped and cut to so many UTF-16 units, never within an escape; `-` if nothing is left."""
    parts, size = list[str](), 0
    for character in plain(text):
        part = escape(character)
        size += len(part.encode("utf-16-le")) // 2
        if size > most - 1:
            return "".join(parts) + "…"
        parts.append(part)
    return "".join(parts) or "-"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
