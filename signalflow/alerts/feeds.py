"""Alerts as an Atom feed (RFC 4287), for feed readers."""

from collections.abc import Sequence
from datetime import datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from signalflow.alerts.messages import Alert, facts, headline, plain

CONTENT_TYPE = "application/atom+xml; charset=utf-8"
_ATOM = "http://www.w3.org/2005/Atom"


def atom_feed(alerts: Sequence[Alert], *, id_: str, title: str, address: str, updated: datetime) -> bytes:
    """The whole feed, newest first as given.

    `id_`: a URI that stays when the secret in `address`, where the feed is read, is changed. `updated`: when the feed
    last changed, for a feed without alerts.
    """
    feed = Element("feed", xmlns=_ATOM)
    _add(feed, "id", id_)
    _add(feed, "title", plain(title))
    _add(feed, "updated", max((alert.matched_at for alert in alerts), default=updated).isoformat())
    SubElement(feed, "link", rel="self", type="application/atom+xml", href=address)
    _add(SubElement(feed, "author"), "name", "signalflow")
    for alert in alerts:
        entry = SubElement(feed, "entry")
        _add(entry, "id", f"urn:signalflow:alert:{alert.id}")
        _add(entry, "title", headline(alert))
        _add(entry, "updated", alert.matched_at.isoformat())
        SubElement(entry, "category", term=plain(alert.rule))
        if alert.url is not None:
            SubElement(entry, "link", rel="alternate", type="text/html", href=alert.url)
        _add(entry, "content", " · ".join(filter(None, (plain(alert.sentence), facts(alert)))), type="text")
    document: bytes = tostring(feed, encoding="utf-8", xml_declaration=True)
    return document


def _add(parent: Element, tag: str, text: str, **attributes: str) -> None:
    SubElement(parent, tag, attributes).text = text
