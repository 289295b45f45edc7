"""Runs that were asked for comments of posts: read beside others, and reported as they go on."""

from collections.abc import Sequence

from signalflow.domain.comment_trees import BATCH, MOST_TRIES, RETRY_AFTER, CommentTrees, Tree
from signalflow.domain.post_run import PostResult, PostRun
from signalflow.errors import Retryable
from signalflow.reddit.post_runs import PostRuns
from tests.unit.domain.test_comment_trees import START, TAKES_OFF


class Source:
    def __init__(self, *runs: PostRun) -> None:
        self.runs = list(runs)
        self.told: list[dict[str, PostResult]] = []
        self.is_away = False

    async def comment_runs_waiting(self) -> Sequence[PostRun]:
        return [PostRun(run.id, run.posts, run.comments) for run in self.runs]

    async def report_comment_run(self, run: PostRun) -> None:
        if self.is_away:
            raise Retryable("away")
        self.told.append(dict(run.results))
        if run.is_done:
            self.runs = [other for other in self.runs if other.id != run.id]


def taken(trees: CommentTrees, now: float = START) -> Tree:
    tree = trees.take_asked(now)
    assert tree is not None
    return tree


async def test_each_result_of_a_run_is_reported_once() -> None:
    trees, source = CommentTrees(1.0, 20, TAKES_OFF), Source(PostRun(1, ["p1", "p2"], 300))
    runs = PostRuns(source, trees)
    await runs.step()
    await runs.step()
    first = taken(trees)
    assert (first.post, first.most, source.told) == ("p1", 300, [])
    first.published = 2
    first.note_left_out([(tuple(f"c{number}" for number in range(BATCH)), 500)])
    trees.answered(first, START)
    second = taken(trees)
    assert second.post == "p2"
    trees.refused(second)
    await runs.step()
    assert taken(trees) is first, "it goes on"
    first.read_rest(first.rest, first.rest)
    first.published += BATCH
    source.is_away = True
    trees.answered(first, START)
    for _ in range(2):
        try:
            await runs.step()
        except Retryable:
            source.is_away = False
    await runs.step()
    refused, read = PostResult(error="refused"), PostResult(2 + BATCH, not_followed=400)
    assert source.told == [{"p2": refused}, {"p2": refused, "p1": read}]
    assert trees.take_asked(START) is None


async def test_of_a_run_for_which_nobody_waits_any_more_nothing_else_is_asked() -> None:
    trees, source = CommentTrees(1.0, 20, TAKES_OFF), Source(PostRun(1, ["p1", "p2"], 300), PostRun(2, ["p3"], 300))
    runs = PostRuns(source, trees)
    await runs.step()
    in_flight = taken(trees)
    del source.runs[0]
    await runs.step()
    trees.failed(in_flight, START)
    assert taken(trees, START + 2 * RETRY_AFTER).post == "p3"
    assert trees.take_asked(START + 2 * RETRY_AFTER) is None
    await runs.step()
    assert source.told == []


def test_a_post_of_a_run_without_an_answer_is_reported_after_some_tries() -> None:
    trees, run = CommentTrees(1.0, 0, TAKES_OFF), PostRun(1, ["p1"], 20)
    trees.begin(run)
    for turn in range(MOST_TRIES):
        assert not run.is_done
        assert trees.wake_at() <= START + turn * RETRY_AFTER
        trees.failed(taken(trees, START + turn * RETRY_AFTER), START + turn * RETRY_AFTER)
    assert run.results == {"p1": PostResult(error="not answered")}
    assert trees.take_asked(START + 10 * RETRY_AFTER) is None
