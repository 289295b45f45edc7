"""The table of ranks: one row for each moment and listing, whatever comes again, for as long as history is kept."""

from signalflow.events import Rank
from signalflow.storage.jobs import drop_old
from signalflow.storage.pool import Pool
from signalflow.storage.writer import write_batch, write_or_reject
from tests.integration.storage_rows import NOON, column, observation

DAY = 86_400.0


def in_listing(rank: int, post_sort: str = "hot") -> Rank:
    return Rank(post_sort=post_sort, listing="python", rank=rank)


async def test_a_rank_is_stored_once_however_often_it_is_delivered(pool: Pool) -> None:
    rows = [observation("a", n, rank=in_listing(n + 1)) for n in range(3)]
    rows.append(observation("b", 0, current_score=None, current_comments=None, rank=in_listing(9, "top:day")))
    for batch in (rows, rows[1:], rows[:2], [observation("a", 1, rank=in_listing(7))]):
        await write_batch(pool, batch)
    assert await column(pool, "post_ranks", "rank") == [1, 2, 3, 9]
    assert await column(pool, "post_ranks", "post_sort") == ["hot", "hot", "hot", "top:day"]


async def test_an_observation_without_a_place_and_a_file_leave_no_rank(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0), observation("a", 1, mode="backfill", rank=in_listing(1))])
    assert await column(pool, "post_ranks", "rank") == []


async def test_a_row_that_is_refused_leaves_no_rank_and_keeps_no_other_from_its_own(pool: Pool) -> None:
    bad = observation("b", 0, subreddit=None, rank=in_listing(2))
    rejected = await write_or_reject(pool, [observation("a", 0, rank=in_listing(1)), bad])
    assert [each.index for each in rejected] == [1]
    assert await column(pool, "post_ranks", "rank") == [1]


async def test_ranks_are_kept_as_long_as_history(pool: Pool) -> None:
    await write_batch(pool, [observation("a", -DAY * n, rank=in_listing(n + 1)) for n in range(5)])
    await drop_old(pool, NOON, 2)
    assert sorted(await column(pool, "post_ranks", "rank")) == [1, 2, 3]
