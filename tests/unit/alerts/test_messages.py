"""The bodies of an alert: what each place shows of what strangers wrote."""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from signalflow.alerts.chats import discord_body, slack_body
from signalflow.alerts.feeds import atom_feed
from signalflow.alerts.messages import Alert, json_body, number_text, plain, reddit_url
from signalflow.errors import Invalid
from signalflow.reddit.feeds.entries import feed_of
from tests.unit.alerts.examples import AT, alert

TEXT = st.text(max_size=200)
ALERTS = st.builds(
    alert,
    rule=TEXT,
    title=st.none() | TEXT,
    sentence=TEXT,
    subreddit=st.none() | st.just("rust"),
    numbers=st.dictionaries(TEXT, st.none() | st.integers() | st.floats(-1e9, 1e9), max_size=30),
)
_ATOM = "{http://www.w3.org/2005/Atom}"


def slack(of: Alert) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(slack_body(of))
    return body


def discord(of: Alert) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(discord_body(of))
    return body


def feed(*alerts: Alert) -> bytes:
    return atom_feed(
        alerts, id_="urn:signalflow:feed:1", title="Alerts", address="https://flow.example/feed?key=a&b=c", updated=AT
    )


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_the_json_tells_what_is_unknown_as_null() -> None:
    told = json.loads(json_body(alert(title=None, subreddit=None, url=None)))
    assert (told["type"], told["schema_version"], told["timestamp"]) == ("alert", 1, "2026-01-31T12:00:30Z")
    assert told["data"]["numbers"] == {"score": 1204, "velocity": 2.5, "comments": None}
    assert (told["data"]["title"], told["data"]["subreddit"], told["data"]["url"]) == (None, None, None)


def test_slack_shows_title_sentence_numbers_and_a_link() -> None:
    body = slack(alert())
    header, section, context, link = body["blocks"]
    assert header["text"]["text"] == "Rust 3.0 is out"
    assert section["text"]["text"] == "Its velocity of 2.5 a second is above 2."
    assert context["elements"][0]["text"] == ("r/rust, score 1,204, velocity 2.5, comments unknown · Rust in the news")
    assert link["text"]["text"] == ("<https://www.reddit.com/r/rust/comments/1abc2d/rust_30_is_out/|Open on Reddit>")


@given(ALERTS)
def test_nothing_that_strangers_wrote_is_markup_in_slack_or_too_long(of: Alert) -> None:
    body = slack(of)
    texts = [body["text"]]
    for block in body["blocks"]:
        for part in [*block.get("elements", []), *([block["text"]] if "text" in block else [])]:
            if part["type"] == "mrkdwn":
                assert part["text"] == f"<{of.url}|Open on Reddit>"
            else:
                texts.append(part["text"])
    for text in texts:
        assert 1 <= units(text) <= 3000
        assert not re.search("[<>]|&(?!amp;|lt;|gt;)", text), "Slack's mentions and links need <"
    assert units(body["blocks"][0]["text"]["text"]) <= 150
    assert body["mrkdwn"] is False


def test_slack_gets_a_mention_as_text() -> None:
    body = slack(alert(title="<!channel> & <https://evil.example|bank>", sentence="<@U1> :wave:"))
    assert body["blocks"][0]["text"]["text"] == "&lt;!channel&gt; &amp; &lt;https://evil.example|bank&gt;"
    assert body["blocks"][1]["text"] == {"type": "plain_text", "text": "&lt;@U1&gt; :wave:", "emoji": False}


def test_discord_shows_title_sentence_numbers_and_a_link() -> None:
    (embed,) = discord(alert())["embeds"]
    assert embed == {
        "title": "Rust 3.0 is out",
        "url": "https://www.reddit.com/r/rust/comments/1abc2d/rust_30_is_out/",
        "description": "Its velocity of 2.5 a second is above 2.",
        "fields": [
            {"name": "score", "value": "1,204", "inline": True},
            {"name": "velocity", "value": "2.5", "inline": True},
            {"name": "comments", "value": "unknown", "inline": True},
        ],
        "footer": {"text": "Rust in the news"},
        "timestamp": "2026-01-31T12:00:30+00:00",
    }


def test_discord_mentions_nobody_and_makes_no_link_of_what_strangers_wrote() -> None:
    body = discord(alert(title="@everyone [bank](https://evil.example) **now**", sentence="<@1> `x` \\*"))
    assert body["allowed_mentions"] == {"parse": []}
    (embed,) = body["embeds"]
    assert embed["title"] == r"\@everyone \[bank\]\(https://evil.example\) \*\*now\*\*"
    assert embed["description"] == r"\<\@1\> \`x\` \\\*"


@given(ALERTS)
def test_nothing_that_strangers_wrote_is_markup_in_discord_or_too_long(of: Alert) -> None:
    (embed,) = discord(of)["embeds"]
    fields = embed["fields"]
    texts = [embed["title"], embed["description"], *(field["name"] for field in fields)]
    for text in texts:
        # What is left without the escapes, each a pair, has no mark.
        assert not re.search(r"[\\`*_~|>#+\[\]()<@]", re.sub(r"\\([^\w\s]|_)", "", text))
    sizes = [(embed["title"], 256), (embed["description"], 4096), (embed["footer"]["text"], 2048)]
    sizes += [(field["name"], 256) for field in fields] + [(field["value"], 1024) for field in fields]
    assert all(1 <= units(text) <= most for text, most in sizes)
    assert len(fields) <= 25
    assert sum(units(text) for text, _ in sizes) <= 6000


def test_long_texts_of_astral_characters_are_cut_within_the_limits() -> None:
    of = alert(title="😀" * 300, sentence="<" * 5000, rule="&" * 500)
    header = slack(of)["blocks"][0]["text"]["text"]
    assert header == "😀" * 74 + "…"
    assert slack(of)["text"].endswith("&lt;…")
    (embed,) = discord(of)["embeds"]
    assert embed["title"] == "😀" * 127 + "…"
    assert embed["description"] == "\\<" * 749 + "…"


@given(ALERTS)
def test_the_feed_is_valid_whatever_strangers_wrote(of: Alert) -> None:
    root = fromstring(feed(of), forbid_dtd=True)
    (entry,) = root.findall(f"{_ATOM}entry")
    assert {child.tag for child in entry} == {
        f"{_ATOM}{name}" for name in ("id", "title", "updated", "category", "link", "content")
    }
    assert entry.findtext(f"{_ATOM}title") == (plain(of.title or "") or plain(of.rule) or of.id)
    assert entry.findtext(f"{_ATOM}content").startswith(plain(of.sentence))


def test_a_feed_reader_finds_every_alert() -> None:
    later = alert(id="al_2", title="<b>A & B</b>", url=None, matched_at=AT + timedelta(hours=1))
    read = feed_of(feed(later, alert()))
    assert [(entry.id, entry.title, entry.link, entry.updated) for entry in read.entries] == [
        ("urn:signalflow:alert:al_2", "<b>A & B</b>", None, "2026-01-31T13:00:30+00:00"),
        (
            "urn:signalflow:alert:al_1",
            "Rust 3.0 is out",
            "https://www.reddit.com/r/rust/comments/1abc2d/rust_30_is_out/",
            "2026-01-31T12:00:30+00:00",
        ),
    ]
    root = fromstring(feed(later, alert()))
    assert root.findtext(f"{_ATOM}updated") == "2026-01-31T13:00:30+00:00"
    assert root.find(f"{_ATOM}link").attrib["href"] == "https://flow.example/feed?key=a&b=c"


@pytest.mark.parametrize("alerts", [[], [alert()]])
def test_the_feed_has_what_rfc_4287_requires(alerts: list[Alert]) -> None:
    root = fromstring(feed(*alerts))
    assert root.tag == f"{_ATOM}feed"
    for parent in (root, *root.findall(f"{_ATOM}entry")):
        for name in ("id", "title", "updated"):
            (child,) = parent.findall(f"{_ATOM}{name}")
            assert child.text
    assert root.findtext(f"{_ATOM}author/{_ATOM}name") == "signalflow"
    assert root.findtext(f"{_ATOM}updated") == "2026-01-31T12:00:30+00:00"


def test_a_plain_text_is_one_line_that_reads_in_its_direction() -> None:
    assert plain(" a\r\nb\x00\x1b[31m\u202egpj.exe\u2066 ") == "a b [31m gpj.exe"
    assert plain("👩\u200d🔬 مقاله\u200cها") == "👩\u200d🔬 مقاله\u200cها"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), (0, "0"), (1204, "1,204"), (2.5, "2.5"), (0.126, "0.13"), (100.0, "100"), (-1.0, "-1")],
)
def test_a_number_for_people(value: float | None, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("permalink", "url"),
    [
        (None, None),
        ("", None),
        ("https://evil.example/", None),
        ("/r/rust/comments/1/a_b/", "https://www.reddit.com/r/rust/comments/1/a_b/"),
        ("/r/de/comments/1/grüße/", "https://www.reddit.com/r/de/comments/1/gr%C3%BC%C3%9Fe/"),
        ('/r/a"><script>|(x)', "https://www.reddit.com/r/a%22%3E%3Cscript%3E%7C%28x%29"),
    ],
)
def test_the_address_of_a_permalink(permalink: str | None, url: str | None) -> None:
    assert reddit_url(permalink) == url
    assert alert(url=url).url == url


@given(st.text().map("/".__add__))
def test_every_permalink_makes_an_address_that_an_alert_takes(permalink: str) -> None:
    assert alert(url=reddit_url(permalink))


@pytest.mark.parametrize(
    "fields",
    [{"id": "a.b"}, {"id": ""}, {"url": "https://www.reddit.com.evil.example/"}, {"url": "https://www.reddit.com/|x"}],
)
def test_an_alert_refuses_what_would_break_a_body(fields: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        alert(**fields)
    assert refused.value.field == next(iter(fields))


def test_slack_can_be_read_back() -> None:
    assert unescape(slack(alert(title="a < b & c > d"))["blocks"][0]["text"]["text"]) == "a < b & c > d"
