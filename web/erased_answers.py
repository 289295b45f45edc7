"""Kept answers are given up when the database has erased a post: they may hold its title, its author or its words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import structlog

from signalflow.errors import SignalflowError
from signalflow.storage.erasure import not_erased_yet
from signalflow.storage.read_router import ReadRouter
from web.cache import AnswerCache

# The live stream often tells of a removal before the sink has stored it. An answer that is computed in between still
# has the text, so the database is asked this often whether the post is erased.
LOOK_SECONDS = 0.5
# After so long no kept answer is older than the removal, unless the sink is late; then every answer has the text.
GIVE_UP_SECONDS = 60.0

log = structlog.get_logger()


class ErasedAnswers:
    """Told of the posts that were taken away, it empties the cache of this process, and Redis, once they are erased."""

    def __init__(self, cache: AnswerCache, reads: ReadRouter) -> None:
        self._cache, self._reads = cache, reads
        self._waiting: dict[str, tuple[datetime, float]] = {}
        self._news = asyncio.Event()
        self._is_refused = False

    def note(self, id_: str, seen_at: datetime) -> None:
        """A post was seen as taken away at this moment."""
        self._waiting[id_] = seen_at, asyncio.get_running_loop().time() + GIVE_UP_SECONDS
        self._news.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Empty the cache whenever posts are erased, while inside."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            if self._waiting:
                await self._look()
                await asyncio.sleep(LOOK_SECONDS)
            else:
                self._news.clear()

    async def _look(self) -> None:
        looked = dict(self._waiting)
        try:
            left = await not_erased_yet(self._reads, {id_: seen_at for id_, (seen_at, _) in looked.items()})
        except SignalflowError as error:
            if not self._is_refused:
                log.warning("erased_answers_wait", error=str(error))
            self._is_refused, left = True, set(looked)
        else:
            self._is_refused = False
        if left != set(looked):
            await self._cache.forget_all()
        now = asyncio.get_running_loop().time()
        for id_, noted in looked.items():
            # A post may have been noted again meanwhile, with a later moment.
            if (id_ not in left or noted[1] <= now) and self._waiting[id_] == noted:
                del self._waiting[id_]
