"""Takes the runs that were asked for comments of posts, gives them to the planner, and reports their results."""

import structlog

from signalflow.domain.comment_trees import CommentTrees
from signalflow.domain.post_run import PostRun
from signalflow.reddit.once import LOOK_EVERY
from signalflow.reddit.ports import CommentRuns

log = structlog.get_logger()


class PostRuns:
    """The runs of one poller. A run that an earlier poller began is begun again: comments may be published twice."""

    def __init__(self, source: CommentRuns, trees: CommentTrees) -> None:
        self._source, self._trees = source, trees
        self._running: dict[int, PostRun] = {}
        self._told: dict[int, int] = {}

    async def step(self) -> float:
        """Report new results, and take new runs; returns the seconds to sleep. After Retryable it may be repeated."""
        for run in list(self._running.values()):
            if len(run.results) > self._told[run.id]:
                told = len(run.results)
                await self._source.report_comment_run(run)
                self._told[run.id] = told
            if run.is_done and self._told[run.id] == len(run.posts):
                del self._running[run.id], self._told[run.id]
                log.info("comment_run_done", run=run.id, posts=len(run.posts))
        waiting = await self._source.comment_runs_waiting()
        for id_ in self._running.keys() - {run.id for run in waiting}:
            run = self._running[id_]
            if not run.is_done:
                self._trees.give_up(run)
                del self._running[id_], self._told[id_]
                log.info("comment_run_given_up", run=id_, posts_left=len(run.posts) - len(run.results))
        for run in waiting:
            if run.id not in self._running:
                self._running[run.id], self._told[run.id] = run, 0
                self._trees.begin(run)
                log.info("comment_run_begins", run=run.id, posts=len(run.posts), comments=run.comments)
        return LOOK_EVERY
