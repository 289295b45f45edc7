"""The address of a comment says nothing of its post."""

import pytest

from signalflow.domain.permalinks import without_title


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("/r/redditdev/comments/2gmzqe/praw_https_enabled/cklhv0f/", "/r/redditdev/comments/2gmzqe/_/cklhv0f/"),
        ("/r/a/comments/2gmzqe/comment/cklhv0f/", "/r/a/comments/2gmzqe/_/cklhv0f/"),
        ("/r/a/comments/2gmzqe//cklhv0f/", "/r/a/comments/2gmzqe/_/cklhv0f/"),
        ("/r/a/comments/2gmzqe/_/cklhv0f/", "/r/a/comments/2gmzqe/_/cklhv0f/"),
        ("/r/comments/comments/x/comments/y/", "/r/comments/comments/x/_/y/"),
        ("https://www.reddit.com/r/a/comments/x/a_title/y/", "https://www.reddit.com/r/a/comments/x/_/y/"),
        ("/user/ada/comments/2gmzqe/a_title/cklhv0f", "/user/ada/comments/2gmzqe/_/cklhv0f"),
        ("/r/a/", "/r/a/"),
        ("", ""),
    ],
)
def test_words_of_the_title_are_left_out(told: str, kept: str) -> None:
    assert without_title(told) == kept
