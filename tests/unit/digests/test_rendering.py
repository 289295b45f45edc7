"""The digest of a day as text, as a page and as an e-mail. No server."""

from datetime import UTC, datetime
from typing import Any

import pytest

from signalflow.digests.rendering import as_mail, as_page, as_text
from signalflow.digests.sections import summary_of
from signalflow.errors import Invalid

NOW = datetime(2026, 1, 6, 7, tzinfo=UTC)
HOSTILE = '<img src=x onerror="x()"> & "quotes"\u202e\nnext'


def post(id_: str = "abc", **changes: Any) -> dict[str, Any]:
    """A post of a list of the digest."""
    told = {
        "id": id_,
        "subreddit": "python",
        "title": "A title",
        "permalink": f"/r/python/comments/{id_}/",
        "current_score": 480,
        "current_comments": 1,
    }
    return told | changes


def signal(**changes: Any) -> dict[str, Any]:
    """A signal of the digest."""
    told = {
        "kind": "viral",
        "subject_kind": "post",
        "subject": "abc",
        "sentence": "r/python: a post with 480 points is 73 % likely to be among the best 1 %.",
    }
    return told | changes


def digest(**changes: Any) -> dict[str, Any]:
    """A digest of 2026-01-05, with these fields changed."""
    told: dict[str, Any] = {
        "day": "2026-01-05",
        "posts": 24_400,
        "posts_before": 20_000,
        "authors": 1,
        "covered": 0.99951,
        "signals": {"viral": 41, "unusual_here": 63, "burst": 0},
        "strongest": [signal()],
        "most_upvoted": [post()],
        "most_commented": [post("b", title="", permalink=None, current_score=None, current_comments=None)],
        "subreddits": [{"subreddit": "python", "posts": 310, "posts_before": 0}],
        "keywords": [{"keyword": "asyncio", "posts": 1, "posts_before": 3, "subreddits": 2}],
    }
    return told | changes


def test_the_text_says_everything_and_leaves_out_what_is_unknown() -> None:
    assert as_text(digest()) == (
        "Reddit on Monday, 5 January 2026\n"
        "\n"
        "24,400 posts by 1 author (UTC), 22 % more than the day before. "
        "41 posts took off, 63 times something was unusual. 99.9 % of the time of the subreddits is covered.\n"
        "\n"
        "What stood out\n"
        "- r/python: a post with 480 points is 73 % likely to be among the best 1 %.\n"
        "  takes off\n"
        "  https://www.reddit.com/r/python/comments/abc/\n"
        "\n"
        "Highest scores\n"
        "- A title\n"
        "  r/python, 480 points, 1 comment\n"
        "  https://www.reddit.com/r/python/comments/abc/\n"
        "\n"
        "Most discussed\n"
        "- (title not kept)\n"
        "  r/python\n"
        "\n"
        "Busiest subreddits\n"
        "- r/python\n"
        "  310 posts, 0 the day before\n"
        "\n"
        "What titles were about\n"
        "- asyncio\n"
        "  1 post, 3 the day before, 2 subreddits\n"
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"covered": 1.0}, "100 % of the time"),
        ({"posts": 15_000}, "25 % fewer than the day before"),
        ({"signals": {"viral": 1, "unusual_here": 0, "burst": 2}}, "1 post took off, 0 times something was unusual, "
         "and 2 terms suddenly stood in many titles."),
    ],
)  # fmt: skip
def test_the_summary_compares(changes: dict[str, Any], told: str) -> None:
    assert told in summary_of(digest(**changes))


def test_what_is_unknown_is_left_out_of_the_summary() -> None:
    assert summary_of(digest(posts_before=0, covered=None)) == (
        "24,400 posts by 1 author (UTC). 41 posts took off, 63 times something was unusual."
    )


def test_a_day_without_anything_has_no_empty_sections() -> None:
    nothing = digest(strongest=[], most_upvoted=[], most_commented=[], subreddits=[], keywords=[])
    assert as_text(nothing).count("\n\n") == 1
    assert "<h2>" not in as_page(nothing)


def test_the_page_loads_and_runs_nothing_and_shows_strangers_words_as_text() -> None:
    page = as_page(
        digest(
            strongest=[signal(sentence=HOSTILE)],
            most_upvoted=[post(title=HOSTILE, permalink='/r/python/"><script>')],
            keywords=[{"keyword": HOSTILE, "posts": 1, "posts_before": 0, "subreddits": 1}],
        )
    )
    assert page.startswith("<!doctype html>")
    shown = "&lt;img src=x onerror=&quot;x()&quot;&gt; &amp; &quot;quotes&quot; next"
    assert page.count(shown) == 3
    assert "<img" not in page
    assert "<script" not in page
    assert "\u202e" not in page
    assert page.count("http") == page.count('<a href="https://www.reddit.com/')


def test_the_mail_has_both_forms_and_the_id_of_its_day() -> None:
    mail = as_mail(digest(), sender="signalflow@example.org", recipient="you@example.org", now=NOW)
    assert mail["Subject"] == "Reddit on Monday, 5 January 2026"
    assert mail["Message-ID"] == "<digest-2026-01-05@example.org>"
    plain, html = (mail.get_body((form,)) for form in ("plain", "html"))
    assert plain is not None
    assert html is not None
    assert "What stood out" in plain.get_content()
    assert "<h2>What stood out</h2>" in html.get_content()
    with pytest.raises(Invalid):
        as_mail(digest(), sender="signalflow@example.org", recipient="a@b.org, c@d.org", now=NOW)
