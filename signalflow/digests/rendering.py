"""A digest as text, as a page that needs nothing else, and as an e-mail."""

from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from html import escape
from typing import Any

from signalflow.alerts.digest import mail_of
from signalflow.digests.sections import Line, Section, sections_of, summary_of, title_of

_STYLE = """
body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color: #1c2230;
  background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
li { margin: 0.5rem 0; overflow-wrap: anywhere; } a { color: #1d5fbf; } small { display: block; color: #5b6473; }
@media (prefers-color-scheme: dark) {
  body { color: #dfe4ee; background: #12151c; } a { color: #7fb0ff; } small { color: #98a2b3; }
}
"""


def as_text(digest: Mapping[str, Any]) -> str:
    """The digest for a terminal and for mail programs without HTML."""
    sections = ["\n".join([section.title, *map(_text_line, section.lines)]) for section in sections_of(digest)]
    return "\n\n".join([title_of(digest), summary_of(digest), *sections]) + "\n"


def as_page(digest: Mapping[str, Any]) -> str:
    """The digest as one file of HTML: no script, and nothing that is loaded."""
    title = escape(title_of(digest))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{_body(digest)}</body>\n</html>\n"
    )


def as_mail(digest: Mapping[str, Any], *, sender: str, recipient: str, now: datetime) -> EmailMessage:
    """The digest as an e-mail. Its Message-ID is that of the day. Raises Invalid for an address of another form."""
    return mail_of(
        f"digest-{digest['day']}",
        title_of(digest),
        as_text(digest),
        _body(digest),
        sender=sender,
        recipient=recipient,
        now=now,
    )


def _text_line(line: Line) -> str:
    parts = [f"- {line.text}", line.note and f"  {line.note}", line.url and f"  {line.url}"]
    return "\n".join(filter(None, parts))


def _body(digest: Mapping[str, Any]) -> str:
    head = f"<h1>{escape(title_of(digest))}</h1>\n<p>{escape(summary_of(digest))}</p>\n"
    return head + "".join(map(_section, sections_of(digest)))


def _section(section: Section) -> str:
    return f"<h2>{section.title}</h2>\n<ul>\n{''.join(map(_item, section.lines))}</ul>\n"


def _item(line: Line) -> str:
    text = escape(line.text)
    if line.url is not None:
        text = f'<a href="{escape(line.url)}">{text}</a>'
    return f"<li>{text}{f'<small>{escape(line.note)}</small>' if line.note else ''}</li>\n"
