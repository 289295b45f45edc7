"""Alerts of some time as one e-mail, in plain text and in HTML."""

import re
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from signalflow.alert_settings import is_mail_address
from signalflow.alerts.messages import Alert, facts, headline, plain, time_text
from signalflow.alerts.signing import MESSAGE_ID
from signalflow.errors import Invalid

# What a person looks through. The others are counted.
MOST_SHOWN = 50
LONGEST_SUBJECT = 120
# Every server takes seven bits.
_POLICY = SMTP.clone(cte_type="7bit")


def digest_mail(id_: str, alerts: Sequence[Alert], *, sender: str, recipient: str, now: datetime) -> EmailMessage:
    """The e-mail with at least one alert, newest first as given. Raises Invalid as `mail_of` does."""
    shown, others = alerts[:MOST_SHOWN], len(alerts) - MOST_SHOWN
    more = [f"... and {others} more"] if others > 0 else []
    text = "\n\n".join([*map(_as_text, shown), *more]) + "\n"
    html = "\n".join([*map(_as_html, shown), *(f"<p>{line}</p>" for line in more)]) + "\n"
    return mail_of(id_, _subject(alerts), text, html, sender=sender, recipient=recipient, now=now)


def mail_of(
    id_: str, subject: str, text: str, html: str, *, sender: str, recipient: str, now: datetime
) -> EmailMessage:
    """An e-mail of ours. `subject` is one line.

    `id_` makes the Message-ID, by which mail programs know a repeated e-mail. Raises Invalid for an id or an address of
    another form.
    """
    if not re.fullmatch(MESSAGE_ID, id_):
        raise Invalid("the id of a message has 1 to 64 letters, digits, _ or -", field="id")
    for address in (sender, recipient):
        if not is_mail_address(address):
            raise Invalid("write one address of e-mail without a name, such as you@example.org", field="recipient")
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = sender
    mail["To"] = recipient
    mail["Subject"] = subject
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{id_}@{sender.rpartition('@')[2]}>"
    # No out-of-office replies.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    mail.add_alternative(html, "html")
    return mail


def _subject(alerts: Sequence[Alert]) -> str:
    rules = list(dict.fromkeys(plain(alert.rule) for alert in alerts))
    text = f"{rules[0]}: {headline(alerts[0])}" if len(alerts) == 1 else f"{len(alerts)} alerts: {', '.join(rules)}"
    return text if len(text) <= LONGEST_SUBJECT else f"{text[: LONGEST_SUBJECT - 1]}…"


def _lines(alert: Alert) -> list[str]:
    origin = f"{plain(alert.rule)}, {time_text(alert.matched_at)}"
    return [line for line in (plain(alert.sentence), facts(alert), origin) if line]


def _as_text(alert: Alert) -> str:
    return "\n".join([headline(alert), *_lines(alert), *([alert.url] if alert.url else [])])


def _as_html(alert: Alert) -> str:
    title = escape(headline(alert))
    if alert.url is not None:
        title = f'<a href="{escape(alert.url)}">{title}</a>'
    return f"<p><b>{title}</b><br>\n{'<br>'.join(map(escape, _lines(alert)))}</p>"
