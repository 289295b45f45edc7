"""How far a successor takes each subreddit to be complete."""

from signalflow.domain.known import StoredPost
from signalflow.domain.overlap import Anchor
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.takeover import Takeover

NOW = 1_000_000.0


def watched(name: str, polled_at: float | None = None) -> Subreddit:
    return Subreddit(name, 60, "fast", polled_at)


def post(id_: str, subreddit: str, created: float) -> StoredPost:
    return StoredPost(id_, subreddit, created, created, 1, 0, True)


def test_a_subreddit_without_posts_and_polls_has_nothing_to_reach() -> None:
    takeover = Takeover([watched("a")], [])
    assert takeover.anchors(["a"]) == ()
    assert takeover.lagging(["a"]) == []


def test_the_first_page_must_reach_posts_from_two_minutes_before_the_last_poll() -> None:
    posts = [post("old", "a", NOW - 900), post("edge", "a", NOW - 120), post("fresh", "a", NOW - 119)]
    (anchor,) = Takeover([watched("a", NOW)], posts).anchors(["a"])
    assert anchor.ids == {"old", "edge"}


def test_what_is_missing_is_newer_than_the_newest_post_that_the_last_poll_showed() -> None:
    posts = [post("edge", "a", NOW - 120), post("shown", "a", NOW - 30), post("later", "a", NOW + 1)]
    (anchor,) = Takeover([watched("a", NOW)], posts).anchors(["a"])
    assert anchor.since == NOW - 30


def test_where_the_last_poll_showed_nothing_of_two_minutes_the_time_before_them_counts() -> None:
    (anchor,) = Takeover([watched("a", NOW)], [post("old", "a", NOW - 900)]).anchors(["a"])
    assert anchor.since == NOW - 120


def test_a_subreddit_that_was_read_later_does_not_shorten_what_is_missing_of_another() -> None:
    posts = [post("a1", "a", NOW - 60), post("b1", "b", NOW - 1), post("b2", "b", NOW + 50)]
    takeover = Takeover([watched("a", NOW), watched("b", NOW + 60)], posts)
    assert takeover.anchors(["a", "b"])[0].since == NOW - 60


def test_a_subreddit_that_was_never_reported_is_complete_until_its_newest_post() -> None:
    posts = [post("p1", "a", NOW - 900), post("p2", "a", NOW), post("p3", "a", NOW - 500)]
    (anchor,) = Takeover([watched("a")], posts).anchors(["a"])
    assert anchor == Anchor(frozenset({"p1", "p3"}), NOW)


def test_a_report_counts_more_than_posts_and_may_come_without_any() -> None:
    takeover = Takeover([watched("a", NOW - 600), watched("b", NOW - 300)], [post("p1", "a", NOW)])
    assert takeover.anchors(["a"]) == (Anchor(frozenset(), NOW - 720),)
    assert takeover.anchors(["b"]) == (Anchor(frozenset(), NOW - 420),)


def test_a_group_must_reach_the_earliest_last_poll_of_its_subreddits() -> None:
    posts = [post("a1", "a", NOW - 5000), post("b1", "b", NOW - 1000), post("b2", "b", NOW - 500)]
    takeover = Takeover([watched("a", NOW), watched("b", NOW - 600), watched("new")], posts)
    assert takeover.anchors(["a", "b", "new"]) == (Anchor(frozenset({"a1", "b1"}), NOW - 720),)
    assert takeover.anchors(["a", "new"]) == (Anchor(frozenset({"a1"}), NOW - 120),)


def test_names_are_compared_in_lower_case() -> None:
    takeover = Takeover([watched("Python", NOW - 900), watched("Rust", NOW)], [post("p1", "PyThon", NOW - 5000)])
    assert takeover.anchors(["python"]) == (Anchor(frozenset({"p1"}), NOW - 1020),)
    assert takeover.lagging(["python", "rust"]) == ["python"]


def test_an_anchor_has_the_fifty_newest_settled_posts() -> None:
    posts = [post(f"p{number}", "a", NOW - 1000 - number) for number in range(60)]
    (anchor,) = Takeover([watched("a", NOW)], posts[::-1]).anchors(["a"])
    assert anchor.ids == {f"p{number}" for number in range(50)}


def test_a_subreddit_lags_when_it_was_polled_over_two_minutes_before_the_newest_of_its_group() -> None:
    takeover = Takeover([watched("a", NOW), watched("b", NOW - 120), watched("c", NOW - 121), watched("new")], [])
    assert takeover.lagging(["a", "b", "c", "new"]) == ["c"]
    assert takeover.lagging(["b", "c", "new"]) == [], "a group knows nothing of other groups"
    assert takeover.lagging(["unheard"]) == []


def test_where_nothing_was_settled_comments_that_came_late_prove_nothing() -> None:
    fresh = [post(f"c{number}", "a", NOW - number) for number in range(5)]
    (anchor,) = Takeover([watched("a", NOW)], fresh, latest=600.0).anchors(["a"])
    assert anchor == Anchor(frozenset(), NOW - 120 - 600)
    settled = [post(f"c{number}", "a", NOW - 120 - number) for number in range(3)]
    (anchor,) = Takeover([watched("a", NOW)], [*fresh, *settled], latest=600.0).anchors(["a"])
    assert anchor == Anchor(frozenset({"c0", "c1", "c2"}), NOW - 120), "three ids prove it, whatever their order"
