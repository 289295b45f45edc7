"""Posts of Atom feeds: shapes that readers of feeds have published, and documents that no reader should trust."""

from datetime import UTC, datetime
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.domain.budget import RateLimit
from signalflow.errors import Invalid
from signalflow.events import Post
from signalflow.reddit.answers import Answer
from signalflow.reddit.feeds import entries
from signalflow.reddit.feeds.content import content_of, text_of
from signalflow.reddit.feeds.entries import feed_of
from signalflow.reddit.feeds.posts import page_of_feed
from signalflow.reddit.protocol import Page, Unavailable

NOW = datetime(2026, 9, 13, 12, 0, tzinfo=UTC)
HEADERS = {"x-ratelimit-used": "1", "x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "42"}
PERMALINK = "https://www.reddit.com/r/python/comments/abc123/title/"
SUBMITTED = (
    ' &#32; submitted by &#32; <a href="https://www.reddit.com/user/someone"> /u/someone </a> &#32; to &#32; '
    '<a href="https://www.reddit.com/r/python/"> r/python </a> <br/> '
)


def links(link: str) -> str:
    """The end of an entry's content."""
    return f'<span><a href="{link}">[link]</a></span> &#32; <span><a href="{PERMALINK}">[comments]</a></span>'


TEXT = '<!-- SC_OFF --><div class="md"><p>text &amp; more</p>\n\n<p>end</p>\n</div><!-- SC_ON -->'
PARTS = {
    "author": "<author><name>/u/someone</name><uri>https://www.reddit.com/user/someone</uri></author>",
    "category": '<category term="python" label="r/python"/>',
    "content": f'<content type="html">{escape(TEXT + SUBMITTED + links(PERMALINK))}</content>',
    "id": "<id>t3_abc123</id>",
    "thumbnail": '<media:thumbnail url="https://b.thumbs.redditmedia.com/x.jpg"/>',
    "link": f'<link href="{PERMALINK}"/>',
    "updated": "<updated>2026-09-13T11:00:00+00:00</updated>",
    "published": "<published>2026-09-13T10:00:00+00:00</published>",
    "title": "<title>Title &amp; more</title>",
}


def entry(**parts: str) -> str:
    """An entry, with other parts than the usual ones; an empty part is left out."""
    return f"<entry>{''.join((PARTS | parts).values())}</entry>"


def html(content: str) -> str:
    return f'<content type="html">{escape(content)}</content>'


def feed(*found: str, head: str = "") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom" '
        f'xmlns:media="http://search.yahoo.com/mrss/">{head}{"".join(found)}</feed>'
    ).encode()


def page(body: bytes, limit: int = 100) -> Page:
    return page_of_feed(body, Answer(200, HEADERS, NOW), limit)


def post(**parts: str) -> Post:
    found = page(feed(entry(**parts)))
    assert found.rejections == ()
    return found.posts[0]


def test_an_entry_tells_texts_and_times_and_what_it_does_not_tell_is_null() -> None:
    assert post() == Post(
        id="abc123",
        subreddit="python",
        author="someone",
        title="Title & more",
        created_utc=datetime(2026, 9, 13, 10, tzinfo=UTC),
        score=None,
        num_comments=None,
        upvote_ratio=None,
        url=PERMALINK,
        permalink="/r/python/comments/abc123/title/",
        flair=None,
        over_18=None,
        is_self=True,
        edited_at=None,
        removed_by=None,
        body="text & more\n\nend",
    )


def test_the_limits_and_the_moment_are_those_of_the_answer() -> None:
    found = page(feed(entry()))
    assert (found.rate_limit, found.observed_at) == (RateLimit(used=1, remaining=0, reset=42), NOW)


@pytest.mark.parametrize(
    ("content", "is_self", "url", "body"),
    [
        (SUBMITTED + links(PERMALINK), True, PERMALINK, None),
        (SUBMITTED + links("https://example.org/?a=1&amp;b=2"), False, "https://example.org/?a=1&b=2", None),
        (
            f'<table> <tr><td> <a href="{PERMALINK}"> <img src="https://preview.redd.it/x.jpg?width=640&amp;s=1" '
            f'alt="A &lt;!-- SC_ON --&gt; title" /> </a> </td><td> {SUBMITTED}{links("https://i.redd.it/x.jpg")} '
            "</td></tr></table>",
            False,
            "https://i.redd.it/x.jpg",
            None,
        ),
        (
            f"<table> <tr><td> </td><td> {TEXT}{SUBMITTED}{links('https://www.reddit.com/gallery/abc123')} "
            "</td></tr></table>",
            False,
            "https://www.reddit.com/gallery/abc123",
            "text & more\n\nend",
        ),
        # What an author writes is not taken for Reddit's own link.
        (
            '<!-- SC_OFF --><div class="md"><p><a href="https://evil.example/">[link]</a></p></div><!-- SC_ON -->'
            + SUBMITTED
            + links(PERMALINK),
            True,
            PERMALINK,
            "[link]",
        ),
        (SUBMITTED + links("https://www.reddit.com/r/other/comments/zzz/"), False,
         "https://www.reddit.com/r/other/comments/zzz/", None),
        (TEXT, None, None, "text & more\n\nend"),
        ("", None, None, None),
    ],
)  # fmt: skip
def test_the_content_is_unwrapped(content: str, is_self: bool | None, url: str | None, body: str | None) -> None:
    found = post(content=html(content))
    assert (found.is_self, found.url, found.body) == (is_self, url, body)


def test_the_author_of_a_deleted_account_is_unknown() -> None:
    assert post(author="").author is None


def test_without_published_the_time_is_that_of_updated() -> None:
    assert post(published="").created_utc == datetime(2026, 9, 13, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"id": "<id>t1_abc123</id>"}, "kind"),
        ({"id": ""}, "kind"),
        ({"id": "<id>t3_ABC</id>"}, "id"),
        ({"title": ""}, "title"),
        ({"title": f"<title>{'x' * 601}</title>"}, "title"),
        ({"category": ""}, "subreddit"),
        ({"category": '<category term="a/../b"/>'}, "subreddit"),
        ({"published": "", "updated": ""}, "created_utc"),
        ({"published": "<published>yesterday</published>"}, "created_utc"),
        ({"published": "<published>2026-09-13T10:00:00</published>"}, "created_utc"),
        ({"published": "<published>2026-09-13T12:00:10+00:00</published>"}, "created_utc"),
        ({"published": "<published>0001-01-01T00:00:00+14:00</published>"}, "created_utc"),
    ],
)
def test_an_entry_that_is_no_post_is_left_out_with_its_reason(parts: dict[str, str], reason: str) -> None:
    good = entry(id="<id>t3_good</id>")
    found = page(feed(good, entry(**parts), good.replace("good", "good2")))
    assert [each.id for each in found.posts] == ["good", "good2"]
    assert [rejection.reason for rejection in found.rejections] == [reason]
    assert "xxx" not in found.rejections[0].message


def test_an_optional_part_that_makes_no_sense_is_unknown() -> None:
    far = "https://example.org/" + "x" * 40_000
    found = post(link='<link href="https://example.org/r/python/"/>', content=html(SUBMITTED + links(far)))
    assert (found.permalink, found.url, found.is_self) == (None, None, None)


@pytest.mark.parametrize(
    ("head", "limit", "after"),
    [
        ("", 2, "t3_last"),
        ("", 3, None),
        ('<link rel="next" href="https://www.reddit.com/r/a/new/.rss?feed=s&amp;after=t3_named"/>', 9, "t3_named"),
        ('<link rel="next" href="https://www.reddit.com/r/a/new/.rss?after=t3_x%26feed=s"/>', 2, "t3_last"),
        ('<link rel="self" href="https://www.reddit.com/r/a/new/.rss?after=t3_self"/>', 9, None),
    ],
)  # fmt: skip
def test_the_next_page_is_the_one_that_the_feed_names_or_the_one_behind_a_full_page(
    head: str, limit: int, after: str | None
) -> None:
    body = feed(entry(), entry(id="<id>t3_last</id>"), head=head)
    assert page(body, limit).after == after


def test_an_empty_feed_is_an_empty_page() -> None:
    found = page(feed())
    assert (found.posts, found.after) == ((), None)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b'<feed xmlns="http://www.w3.org/2005/Atom"><title>&b;</title></feed>'
)
OUTSIDE = (
    b'<?xml version="1.0"?><!DOCTYPE feed SYSTEM "file:///etc/passwd" [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b'<feed xmlns="http://www.w3.org/2005/Atom"><title>&x;</title></feed>'
)


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        OUTSIDE,
        b'<!DOCTYPE feed><feed xmlns="http://www.w3.org/2005/Atom"/>',
        b"",
        b"{}",
        feed(entry())[:-40],
        b"<feed/>",
        b'<rss version="2.0"><channel/></rss>',
        b'<?xml version="1.0" encoding="nonsense"?><feed xmlns="http://www.w3.org/2005/Atom"/>',
        b'<?xml version="1.0" encoding="utf-7"?><feed xmlns="http://www.w3.org/2005/Atom"/>',
        feed("<entry><title>\x0b</title></entry>"),
    ],
)
def test_what_is_no_feed_is_an_answer_that_cannot_be_used(body: bytes) -> None:
    with pytest.raises(Unavailable) as unusable:
        page(body)
    assert unusable.value.reason == "unusable_answer"
    assert unusable.value.rate_limit.reset == 42, "its headers count nevertheless"


def test_a_document_above_the_bound_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    body = feed(entry())
    monkeypatch.setattr(entries, "MAX_FEED_BYTES", len(body))
    assert len(feed_of(body).entries) == 1
    with pytest.raises(Invalid, match="more than"):
        feed_of(body + b" ")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ("<p>one</p>\n\n<p>two<br/>three</p>", "one\n\ntwo\nthree"),
        ("<p>a <em>b</em>  <strong>c</strong>\nd</p>", "a b c d"),
        ("<ul>\n<li>one</li>\n<li><p>two</p></li>\n</ul>", "* one\n\n* two"),
        ("<pre><code>x = 1\n  y = 2\n</code></pre>", "x = 1\n  y = 2"),
        ("<blockquote><p>said</p></blockquote><p>&lt;b&gt; &#39;x&#39; &amp;amp;</p>", "said\n\n<b> 'x' &amp;"),
        ('<p><a href="https://example.org/">words</a></p>', "words"),
        ("<p>a</p><hr/><p>b</p>", "a\n\nb"),
        ("<p>a</p><![x[b]]>", ""),  # html.parser fails on it
        ("", ""),
    ],
)
def test_html_becomes_the_text_that_it_shows(found: str, text: str) -> None:
    assert text_of(found) == text


@given(st.text(alphabet='<>/!-[]&;#abpre="x \n', max_size=60))
def test_any_content_can_be_read(content: str) -> None:
    content_of(content)
    content_of(f"<!-- SC_OFF -->{content}<!-- SC_ON -->{content}")


@given(st.text(alphabet='<>/!-[]&;#"=x: \n', max_size=40))
def test_any_document_is_a_page_or_an_answer_that_cannot_be_used(noise: str) -> None:
    for body in (noise.encode(), feed(entry(title=noise)), feed(noise)):
        try:
            page(body)
        except Unavailable:
            continue
