"""Dead letters: read by all, replayed and discarded by operators."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, HTTPException, Path, Query, Response
from pydantic import AwareDatetime

from signalflow.dead_letters.replay import ReplayRequest, dry_run, replay
from signalflow.domain.words import LetterState, Stage
from signalflow.settings import Settings
from signalflow.storage.dead_letter_replays import recent_replays
from signalflow.storage.dead_letters import (
    LetterFilter,
    StoredLetter,
    find_letter,
    letter_counts,
    letters_page,
    open_letters,
    resolve_letter,
    resolve_letters,
)
from signalflow.storage.pool import Pool
from web.access import Operator, Reader
from web.api.answers import raw_answer
from web.api.dependencies import BriefCacheOf, PoolOf, SettingsOf
from web.api.dlq.schemas import (
    CountOut,
    LetterOut,
    LetterPage,
    Reason,
    ReplayAnswer,
    ReplayMany,
    ReplayOne,
    ReplayOut,
    ResolveAnswer,
    ResolveMany,
    Stats,
)
from web.cache import AnswerCache
from web.problems import InvalidParameter, documented

MOST_LETTERS_A_PAGE = 200
PREVIEW_BYTES = 500
# A value may have 1.5 MB; nobody reads so much of it.
MOST_VALUE_BYTES = 64 << 10
REPLAYS_SHOWN = 20
# A request ends after this time. Letters that were sent stay sent, and say what became of them.
WAIT_SECONDS = 30.0
# All letters are counted, and every open page asks every few seconds. A user who changes a letter sees it at once.
STATS, STATS_SECONDS = "dead letters", 2.0

router = APIRouter(prefix="/dlq", tags=["dead letters"])

READ_PROBLEMS = documented(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
WRITE_PROBLEMS = READ_PROBLEMS | documented(HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
ONE_PROBLEMS = documented(HTTPStatus.NOT_FOUND)
CONFLICT = documented(HTTPStatus.CONFLICT)

LetterId = Annotated[int, Path(ge=1, lt=2**63, description="Id of the dead letter.")]


@router.get("/", summary="Dead letters, newest first", responses=READ_PROBLEMS)
async def list_letters(
    pool: PoolOf,
    _: Reader,
    topic: Annotated[str | None, Query(max_length=249, description="Only of this topic.")] = None,
    stage: Annotated[Stage | None, Query(description="Only those that failed there.")] = None,
    error_type: Annotated[str | None, Query(max_length=200, description="Only this kind of error.")] = None,
    state: Annotated[LetterState | None, Query(description="Only those in this state.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Failed at this time or later.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Failed before this time.")] = None,
    cursor: Annotated[str | None, Query(max_length=32, description="`next` of the page before.")] = None,
    page_size: Annotated[int, Query(ge=1, le=MOST_LETTERS_A_PAGE, description="Letters of a page.")] = 50,
) -> LetterPage:
    """With the beginning of each value.

    The pages that `next` leads to repeat no letter, and have every letter that existed at the first page.
    """
    wanted = LetterFilter(topic, stage, error_type, since, until, state)
    found = await letters_page(pool, wanted, before=_before(cursor), limit=page_size + 1, value_bytes=PREVIEW_BYTES)
    page = found[:page_size]
    following = str(page[-1].id) if len(found) > page_size else None
    return LetterPage(items=[LetterOut.of(letter) for letter in page], next=following)


@router.get("/stats", summary="How many dead letters there are, and why", response_model=Stats, responses=READ_PROBLEMS)
async def stats(pool: PoolOf, cache: BriefCacheOf, _: Reader) -> Response:
    """By topic, stage, error and state, the most frequent first; and the newest replays. At most 2 s old."""
    return raw_answer(await cache.get(STATS, STATS_SECONDS, lambda: _stats(pool)))


@router.get("/{letter_id}", summary="One dead letter", responses=READ_PROBLEMS | ONE_PROBLEMS)
async def show_letter(pool: PoolOf, _: Reader, letter_id: LetterId) -> LetterOut:
    """With up to 64 KiB of its value."""
    return LetterOut.of(await _found(pool, letter_id))


@router.post("/replay", summary="Replay dead letters", responses=WRITE_PROBLEMS)
async def replay_many(
    pool: PoolOf,
    cache: BriefCacheOf,
    settings: SettingsOf,
    who: Operator,
    body: Annotated[ReplayMany, Body(default_factory=ReplayMany)],
) -> ReplayAnswer:
    """Send the original records of open letters back to their topics, the oldest first, as one attempt more.

    A second replay of the same letters changes nothing. Records that fail again become letters of their own.
    """
    request = ReplayRequest(
        by=who.name,
        wanted=body.filter.as_filter(),
        policy=body.policy,
        most=settings.dlq_replay_most if body.most is None else body.most,
        wait_seconds=WAIT_SECONDS,
    )
    return await _answer(pool, cache, settings, request, dry=body.dry_run)


@router.post(
    "/replay/{letter_id}", summary="Replay one dead letter", responses=WRITE_PROBLEMS | ONE_PROBLEMS | CONFLICT
)
async def replay_one(
    pool: PoolOf,
    cache: BriefCacheOf,
    settings: SettingsOf,
    who: Operator,
    letter_id: LetterId,
    body: Annotated[ReplayOne, Body(default_factory=ReplayOne)],
) -> ReplayAnswer:
    """Send it back to its topic. A conflict says why it cannot be: not open, not whole, or out of attempts."""
    letter = await _found(pool, letter_id)
    request = ReplayRequest(
        by=who.name, only=letter_id, policy="stop" if body.wait else "continue", most=1, wait_seconds=WAIT_SECONDS
    )
    if not (await dry_run(pool, settings, request)).ids:
        raise HTTPException(HTTPStatus.CONFLICT, _why_not(letter, settings))
    return await _answer(pool, cache, settings, request, dry=body.dry_run)


@router.post("/resolve", summary="Discard dead letters", responses=WRITE_PROBLEMS)
async def resolve_many(pool: PoolOf, cache: BriefCacheOf, who: Operator, body: ResolveMany) -> ResolveAnswer:
    """Discard the open letters that match, the oldest first. At least one filter is needed."""
    wanted = body.filter.as_filter()
    if wanted == LetterFilter():
        raise InvalidParameter("filter", "choose letters by topic, stage, error_type, since or until")
    if body.dry_run:
        return ResolveAnswer(ids=await open_letters(pool, wanted, most=body.most), resolved=0)
    if body.reason is None:
        raise InvalidParameter("reason", "say why they are discarded")
    ids = await resolve_letters(pool, wanted, by=who.name, reason=body.reason, most=body.most)
    cache.forget(STATS)
    return ResolveAnswer(ids=ids, resolved=len(ids))


@router.post(
    "/resolve/{letter_id}", summary="Discard a dead letter", responses=WRITE_PROBLEMS | ONE_PROBLEMS | CONFLICT
)
async def resolve(pool: PoolOf, cache: BriefCacheOf, who: Operator, letter_id: LetterId, given: Reason) -> LetterOut:
    """It will not be replayed; the reason, and who gave it, stay with it."""
    await _found(pool, letter_id)
    if not await resolve_letter(pool, letter_id, by=who.name, reason=given.reason):
        raise HTTPException(HTTPStatus.CONFLICT, f"Dead letter {letter_id} is resolved already.")
    cache.forget(STATS)
    return LetterOut.of(await _found(pool, letter_id))


def _before(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise InvalidParameter("cursor", "not a cursor of this API")
    return int(cursor)


async def _found(pool: Pool, letter_id: int) -> StoredLetter:
    letter = await find_letter(pool, letter_id, value_bytes=MOST_VALUE_BYTES)
    if letter is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no dead letter {letter_id}.")
    return letter


async def _stats(pool: Pool) -> bytes:
    counts = await letter_counts(pool)
    by_state: dict[LetterState, int] = {"dead": 0, "replayed": 0, "dead_again": 0, "resolved": 0}
    for count in counts:
        by_state[count.state] += count.letters
    replays = [ReplayOut.of(record) for record in await recent_replays(pool, REPLAYS_SHOWN)]
    found = Stats(by_state=by_state, groups=[CountOut.of(count) for count in counts], replays=replays)
    return found.model_dump_json().encode()


async def _answer(
    pool: Pool, cache: AnswerCache, settings: Settings, request: ReplayRequest, *, dry: bool
) -> ReplayAnswer:
    report = await (dry_run if dry else replay)(pool, settings, request)
    cache.forget(STATS)
    return ReplayAnswer.of(report)


def _why_not(letter: StoredLetter, settings: Settings) -> str:
    if letter.state != "dead":
        return f"Dead letter {letter.id} is {letter.state}, not dead."
    if not letter.whole:
        return f"Dead letter {letter.id} was not kept whole, so its original bytes cannot be sent."
    if letter.attempt >= settings.dlq_max_attempts:
        return f"Dead letter {letter.id} has had all of its {settings.dlq_max_attempts} attempts."
    return f"Dead letter {letter.id} came from {letter.source_topic}, which this application does not read now."
